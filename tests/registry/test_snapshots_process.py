"""Real registries, killed: with a snapshot they begin with what they had."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

from process_kit import Process, until

BODY = {
    "instance": {
        "instanceId": "a",
        "hostName": "h",
        "ipAddr": "127.0.0.1",
        "app": "ORDERS",
        "status": "UP",
        "port": {"$": 8080, "@enabled": "true"},
        "dataCenterInfo": {"name": "MyOwn"},
        "metadata": {"colour": "grün"},
    }
}


def registry(path: Path) -> tuple[Process, str]:
    process = Process(
        sys.executable, "-m", "registry_server", "--port", "0", "--snapshot", str(path), "--json"
    )
    url = json.loads(process.line(lambda line: line.startswith('{"url"')))["url"]
    return process, url.removesuffix("/eureka/")


def ask(url: str, method: str = "GET", body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10) as got:
        said = got.read()
        return json.loads(said) if said else None


def test_killed_and_started_again_it_answers_with_the_directory_it_had(tmp_path: Path) -> None:
    path = tmp_path / "registry.snapshot"
    process, base = registry(path)
    with process:
        ask(f"{base}/eureka/apps/ORDERS", "POST", BODY)
        until(path.exists, timeout=15)
        process.kill()

    process, base = registry(path)
    with process:
        (orders,) = ask(f"{base}/eureka/apps")["applications"]["application"]  # type: ignore[index]
        assert orders["instance"][0]["metadata"] == {"colour": "grün"}
        node = ask(f"{base}/resilient/v1/node")
        assert (node["restored"], node["unconfirmed"]) == (1, 1)  # type: ignore[index]
        service = ask(f"{base}/resilient/v1/services/orders")
        assert [one["confirmed"] for one in service["instances"]] == [False]  # type: ignore[index]
        ask(f"{base}/eureka/apps/ORDERS/a", "PUT")
        service = ask(f"{base}/resilient/v1/services/orders")
        assert [one["confirmed"] for one in service["instances"]] == [True]  # type: ignore[index]
        assert ask(f"{base}/resilient/v1/renewals", "POST", [["orders", "a"], ["orders", "b"]]) == {
            "unknown": [1],
            "conflict": [],
        }
        node = ask(f"{base}/resilient/v1/node")
        assert node["unconfirmed"] == 0  # type: ignore[index]
        assert node["stalls"]["longest_ms"] >= 0  # type: ignore[index]
        ask(f"{base}/eureka/apps/ORDERS", "POST", {"instance": {**BODY["instance"], "instanceId": "b"}})
        assert process.end() == 0

    path.write_bytes(path.read_bytes()[:-20])
    process, base = registry(path)
    with process:
        assert ask(f"{base}/eureka/apps")["applications"]["application"] == []  # type: ignore[index]
        assert any("damaged" in line for line in process.said)
