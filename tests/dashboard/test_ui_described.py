"""What the pages are answered is as described: a full estate, so that no schema is met by an empty list."""

from __future__ import annotations

import jsonschema
import pytest
from seeded_source import SeededSource
from ui_kit import Site

from registry_server.openapi import description
from registry_server.openapi_ui import READS

PEER = "http://b:8761/eureka/"
SPEC = description()


@pytest.fixture(scope="module")
def source():
    one = SeededSource(services=10, circuits=16, past=30)
    one.peers = [{"url": PEER, "well": False, "lag": 3.0, "queue": 1, "skew": 5.0}]
    row = {"what": "status", "service": "orders", "instance": "o1", "here": "UP", "there": "DOWN"}
    counts = {"here": 0, "there": 0, "status": 1}
    one.differences[PEER] = {
        "asked": False, "since": 1.0, "complete": True, "problem": "", "counts": counts, "rows": [row],
    }  # fmt: skip
    one.rows[0]["instances"][0].update(overridden="DOWN", override={"by": "Ann", "reason": "x", "at": 1.0})
    one.rows[0]["instances"][1]["links"] = {"home": "http://x/"}
    one.happened[0].update(by="Ann", reason="new disk", until=2.0, before="UP")
    return one


async def test_every_answer_is_as_described(source):
    async with Site(source) as site:
        rows = (await site.json("data/circuits"))["rows"]
        asked = {
            "circuits/history": f"?k={','.join(str(row['k']) for row in rows)}&n=30",
            "nodes/difference": f"?peer={PEER}",
            "find": "?q=http",
            "having": "?meta=owner:shop",
            "consequence": f"?what=circuit&subject={rows[0]['id']}",
            "boot": "?page=circuits",
        }
        for path, (_, name, _) in READS.items():
            wanted = {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]}
            for id in [row["id"] for row in rows] if "{id}" in path else [""]:
                url = path.replace("{id}", id).replace("{name}", source.rows[0]["name"])
                value = await site.json(f"data/{url}{asked.get(path, '')}")
                assert value or path.endswith("/instances"), path
                jsonschema.Draft202012Validator(wanted).validate(value)
