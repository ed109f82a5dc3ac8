"""The description of the JSON API is true: what is described is served, and what is served is described."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from registry_wire import Wire, wired

from registry_server.openapi import description
from registry_server.settings import Settings

SPEC = description()
FEED = "/resilient/v1/feed"
DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def schema(method: str, path: str, status: int) -> dict[str, Any]:
    operation = SPEC["paths"][path][method]
    response = operation["responses"].get(str(status)) or operation["responses"]["default"]
    if "$ref" in response:
        response = SPEC["components"]["responses"][response["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = response.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def check(value: Any, wanted: dict[str, Any]) -> None:
    whole = {**wanted, "components": SPEC["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


async def busy(wire: Wire) -> None:
    """Something of everything, so that no schema is met by an empty list."""
    await wire.register(metadata={"zone": "z"})
    await wire.register(instanceId="i2", app="STOCK")
    await wire.put("apps/ORDERS/i1/status?value=DOWN")
    await wire.delete("apps/STOCK/i2")
    action = {"service": "orders", "circuit": "c", "action": "open", "for": 5}
    assert (await wire.ask("POST", "/resilient/v1/actions", json=action)).status == 202
    for circuit in (
        {"name": "plain"},
        {
            "name": "c",
            "state": "open",
            "target": "stock",
            "retry_in": 3,
            "counts": {"success": 3, "failure": 4},
            "latency": {"mean": 0.1, "p99": 0.3, "max": 0.4},
            "limit": 10,
            "timeout": 1,
        },
    ):
        push = {"service": "orders", "instance": circuit["name"], "circuits": [circuit]}
        check(push, {"$ref": "#/components/schemas/Push"})
        assert (await wire.ask("POST", "/resilient/v1/circuits", json=push)).status == 204


def test_it_is_well_formed() -> None:
    assert SPEC["openapi"].startswith("3.1")
    for one in SPEC["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(one)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(SPEC)):
        place: Any = SPEC
        for step in reference.split("/"):
            place = place[step]


async def test_what_is_served_is_described_and_the_other_way_round() -> None:
    async with wired(Settings(port=0)) as wire:
        served = {
            (route.method.lower(), re.sub(r"\{(\w+)[^}]*\}", r"{\1}", resource.canonical))
            for resource in wire.registry.app.router.resources()
            if resource.canonical.startswith(("/resilient", "/ui/data", "/ui/act"))
            for route in resource
            if route.method != "HEAD"
        }
    described = {(method, path) for path, methods in SPEC["paths"].items() for method in methods}
    assert served == described


@pytest.mark.parametrize(
    "path",
    [path for path, one in SPEC["paths"].items() if "get" in one and path != FEED and path[:4] != "/ui/"],
)
async def test_every_read_answers_as_described(bare: Wire, path: str) -> None:
    await busy(bare)
    url = path.replace("{name}", "orders").replace("{id}", "i1")
    answer = await bare.get(url)
    assert answer.status == 200
    value = answer.json()
    assert value
    check(value, schema("get", path, 200))
    if "{" in path:
        missing = await bare.get(url.replace("orders", "nothing").replace("i1", "nothing"))
        assert missing.status == 404
        check(missing.json(), schema("get", path, 404))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/resilient/v1/actions", {"service": "orders", "circuit": "c", "action": "reset"}, 202),
        ("/resilient/v1/actions", {"service": "orders"}, 400),
        ("/resilient/v1/renewals", [["orders", "i1"], ["orders", "i2", 7]], 200),
        ("/resilient/v1/renewals", [["orders"]], 400),
        ("/resilient/v1/circuits", {"service": "orders"}, 400),
        ("/resilient/v1/circuits", {"service": "orders", "instance": "i1"}, 204),
    ],
)
async def test_every_write_answers_as_described(bare: Wire, path: str, body: Any, status: int) -> None:
    answer = await bare.ask("POST", path, json=body)
    assert answer.status == status
    if status != 204:
        check(answer.json(), schema("post", path, status))
    wanted = SPEC["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    if status < 300:
        check(body, wanted)
    else:
        with pytest.raises(jsonschema.ValidationError):
            check(body, wanted)


async def test_every_answer_to_the_pages_is_as_described() -> None:
    asked = {
        "circuits/history": "?k=1,2&n=5",
        "find": "?q=i1",
        "having": "?meta=zone:z",
        "consequence": "?what=back&subject=orders/i1",
        "boot": "?page=circuits",
    }
    # tests/registry/test_nodes.py has a peer.
    paths = [path for path in SPEC["paths"] if path.startswith("/ui/data/") and "difference" not in path]
    async with wired(Settings(port=0)) as wire:
        await busy(wire)
        for path in paths:
            url = path.replace("{id}", "orders/stock:c").replace("{name}", "orders")
            answer = await wire.get(url + asked.get(path.removeprefix("/ui/data/"), ""))
            assert answer.status == 200, path
            value = answer.json()
            assert value or path.endswith("/instances"), path
            check(value, schema("get", path, 200))
            if "{" in path and not path.endswith("/beats"):
                missing = await wire.get(url.replace("orders", "nobody"))
                assert missing.status == 404, path
                check(missing.json(), schema("get", path, 404))


async def test_feed_as_described(wire: Wire) -> None:
    described = SPEC["paths"]["/resilient/v1/feed"]["get"]
    assert set(described["responses"]["200"]["content"]) == {"text/event-stream"}
    wrong = await wire.get("/resilient/v1/feed?snapshot=x")
    check(wrong.json(), schema("get", "/resilient/v1/feed", wrong.status))


async def test_the_document_is_served_and_can_be_kept(wire: Wire) -> None:
    answer = await wire.get("/resilient/v1/openapi.json")
    assert answer.json() == SPEC
    again = await wire.get("/resilient/v1/openapi.json", {"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


async def test_one_instance(wire: Wire) -> None:
    await wire.register(app="STOCK", instanceId="i1")
    await wire.register(instanceId="a:b:8080")
    found = (await wire.get("/resilient/v1/instances/a:b:8080")).json()
    assert (found["service"], found["id"]) == ("orders", "a:b:8080")
    assert (await wire.get("/resilient/v1/instances/i1?service=STOCK")).json()["service"] == "stock"
    assert (await wire.get("/resilient/v1/instances/i1?service=nothing")).status == 404
    assert (await wire.get("/resilient/v1/instances/a%3Ab%3A8080")).status == 200


async def test_changes_by_number(wire: Wire) -> None:
    for n in range(2, 6):
        await wire.register(instanceId=f"i{n}")

    async def numbers(query: str) -> list[int]:
        rows = (await wire.get("/resilient/v1/changes" + query)).json()
        return [row["number"] for row in rows]

    assert await numbers("") == [5, 4, 3, 2, 1]
    assert await numbers("?after=3") == [5, 4]
    assert await numbers("?limit=2") == [5, 4]
    assert await numbers("?limit=2&before=4") == [3, 2]
    assert await numbers("?after=1&before=4") == [3, 2]
    for wrong in ("?after=x", "?limit=0", "?before=-1", "?limit=" + "9" * 20, "?after=%D9%A3"):
        assert (await wire.get("/resilient/v1/changes" + wrong)).status == 400
    # An action on circuits stands behind the change before it.
    await wire.ask(
        "POST", "/resilient/v1/actions", json={"service": "orders", "circuit": "c", "action": "reset"}
    )
    assert await numbers("?after=5") == [5]


async def test_changes_that_did_not_change(wire: Wire) -> None:
    first = await wire.get("/resilient/v1/changes")
    tag = {"If-None-Match": first.headers["ETag"]}
    again = await wire.get("/resilient/v1/changes", tag)
    assert (again.status, again.body) == (304, b"")
    await wire.ask(
        "POST", "/resilient/v1/actions", json={"service": "orders", "circuit": "c", "action": "reset"}
    )
    acted = await wire.get("/resilient/v1/changes", tag)
    assert acted.status == 200
    await wire.register(instanceId="i2")
    assert (await wire.get("/resilient/v1/changes", {"If-None-Match": acted.headers["ETag"]})).status == 200


async def test_services_in_parts_and_many_of_them(wire: Wire) -> None:
    for name in ("A", "B", "C"):
        await wire.register(app=name, instanceId=f"of-{name}")

    async def names(query: str) -> list[str]:
        return [row["name"] for row in (await wire.get("/resilient/v1/services" + query)).json()]

    assert await names("") == ["a", "b", "c", "orders"]
    assert await names("?limit=2") == ["a", "b"]
    assert await names("?limit=2&after=b") == ["c", "orders"]
    assert await names("?after=zzz") == []
    small = (await wire.get("/resilient/v1/services")).json()
    for n in range(450):
        await wire.register(app="C", instanceId=f"c{n}")
    assert await names("") == ["a", "b", "c", "orders"]
    assert await names("?after=zzz") == []
    large = (await wire.get("/resilient/v1/services")).json()
    assert [small[0], small[1], small[3]] == [large[0], large[1], large[3]]
    assert len(large[2]["instances"]) == 451
    check(large, schema("get", "/resilient/v1/services", 200))


def test_people_read_of_every_path_and_event() -> None:
    text = DOCS.read_text()
    for path, methods in SPEC["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}" in text, path
    for name in ("hello", "service", "ready", "reset", "change", "command", "watched", "gone"):
        assert f"`{name}`" in text, name
