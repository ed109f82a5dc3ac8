"""The registry for Prometheus: its own numbers, and whom to scrape besides it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from registry_wire import Wire, wired

from registry_server import metrics_targets
from registry_server.metrics import ROUTES, route_of
from registry_server.metrics_targets import target_of
from registry_server.settings import Settings
from resilient.model import Instance

TARGETS = "/resilient/v1/prometheus/targets"
TOKEN = "a-read-token-that-is-long-enough"


async def numbers(wire: Wire, headers: dict[str, str] | None = None) -> dict[tuple[str, str], float]:
    """Name and the value of the last label -> number."""
    answer = await wire.get("/metrics", headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation
        assert family.type != "unknown"
        for sample in family.samples:
            assert not {"job", "instance"} & set(sample.labels)
            if sample.name != "resilient_registry_requests_total":
                found[sample.name, [*sample.labels.values(), ""][0]] = sample.value
            else:
                found[sample.name, "/".join(sample.labels.values())] = sample.value
    return found


async def test_what_happened_is_counted(wire: Wire) -> None:
    await wire.register(instanceId="i2", app="STOCK")
    await wire.put("apps/ORDERS/i1")
    await wire.put("apps/ORDERS/nobody")
    await wire.put("apps/STOCK/i2/status?value=OUT_OF_SERVICE")
    await wire.get("apps")
    await wire.get("apps/NOBODY/i9")
    found = await numbers(wire)
    assert found["resilient_registry_instances", "UP"] == 1
    assert found["resilient_registry_instances", "OUT_OF_SERVICE"] == 1
    assert found["resilient_registry_services", ""] == 2
    assert found["resilient_registry_renewals_total", ""] == 1
    assert found["resilient_registry_changes_total", "registered"] == 2
    assert found["resilient_registry_changes_total", "override"] == 1
    assert found["resilient_registry_ready", ""] == 1
    assert found["resilient_registry_requests_total", "register/2xx"] == 2
    assert found["resilient_registry_requests_total", "operate/2xx"] == 1
    assert found["resilient_registry_requests_total", "fetch/2xx"] == 1
    assert found["resilient_registry_requests_total", "fetch/4xx"] == 1
    assert found["process_open_fds", ""] > 3
    await wire.delete("apps/STOCK/i2")
    push = {"service": "orders", "instance": "i1", "circuits": [{"name": "c"}]}
    await wire.ask("POST", "/resilient/v1/circuits", json=push)
    found = await numbers(wire)
    assert found["resilient_registry_changes_total", "cancelled"] == 1
    assert found["resilient_registry_board_processes", ""] == 1
    assert found["resilient_registry_requests_total", "metrics/2xx"] == 1


async def test_silence(wire: Wire) -> None:
    async def wait(seconds: int, *, all_renew: bool) -> None:
        for second in range(seconds):
            if all_renew and second % 20 == 0:
                for n in range(9):
                    await wire.put(f"apps/STOCK/s{n}")
            wire.clock.advance(1)
            await wire.registry.registry.sweep()

    for n in range(9):
        await wire.register(instanceId=f"s{n}", app="STOCK")
    await wait(75, all_renew=False)
    found = await numbers(wire)
    assert found["resilient_registry_late_instances", ""] == 10
    assert found["resilient_registry_preserving", ""] == found["resilient_registry_suspicious", ""] == 1
    await wait(60, all_renew=True)
    found = await numbers(wire)
    assert found["resilient_registry_preserving", ""] == found["resilient_registry_suspicious", ""] == 0
    assert found["resilient_registry_changes_total", "expired"] == 1
    assert found["resilient_registry_instances", "UP"] == 9


async def test_readers_of_the_feed(wire: Wire) -> None:
    async with wire.session.get(f"{wire.base}/resilient/v1/feed") as stream:
        await stream.content.readany()
        assert (await numbers(wire))["resilient_registry_feed_readers", ""] == 1


async def test_case_27_readers_beyond_the_limit_and_slow_ones(wire: Wire) -> None:
    from registry_server.feed.reader import WAITING_EVENTS, Wish

    feed = wire.registry.feed
    reader = feed.join(Wish(snapshot=False))
    for _ in range(10 * WAITING_EVENTS):  # takes nothing: the memory for it ends, and so does it
        reader.put(b"data: x\n\n")
    assert reader.closed
    feed.leave(reader)
    feed.leave(reader)
    found = await numbers(wire)
    assert found["resilient_registry_feed_readers_cut_total", ""] == 1
    assert found["resilient_registry_feed_readers", ""] == 0


async def test_connections_that_were_refused(wire: Wire) -> None:
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", wire.registry.port)
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await reader.read()
    writer.close()
    assert (await numbers(wire))["resilient_registry_connections_refused_total", "garbage"] == 1


async def test_a_snapshot_that_cannot_be_written(tmp_path) -> None:
    async with wired(Settings(port=0, snapshot=str(tmp_path / "s"))) as wire:
        assert (await numbers(wire))["resilient_registry_snapshot_failing", ""] == 0
        assert wire.registry.keeper is not None
        wire.registry.keeper.problem = "the disk is full"
        assert (await numbers(wire))["resilient_registry_snapshot_failing", ""] == 1


async def test_peers_are_shown_without_their_passwords() -> None:
    from resilient.settings import RegistryAddress

    peer = RegistryAddress.parse("http://user:canary@127.0.0.1:1/eureka/")
    async with wired(Settings(port=0, peers=(peer,), peer_wait=0)) as wire:
        answer = await wire.get("/metrics")
        assert b"canary" not in answer.body
        assert (await numbers(wire))["resilient_registry_peer_up", "http://127.0.0.1:1/eureka/"] == 0


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/eureka/apps", "fetch"),
        ("GET", "/eureka/v2/apps/delta", "fetch"),
        ("POST", "/eureka/apps/ORDERS", "register"),
        ("PUT", "/eureka/v2/apps/ORDERS/i1", "heartbeat"),
        ("DELETE", "/eureka/apps/ORDERS/i1", "cancel"),
        ("PUT", "/eureka/apps/ORDERS/i1/status", "operate"),
        ("DELETE", "/eureka/apps/ORDERS/i1/status", "operate"),
        ("POST", "/eureka/peerreplication/batch/", "replicate"),
        ("PATCH", "/eureka/apps", "other"),
        ("GET", "/resilient/v1/feed", "feed"),
        ("GET", "/resilient/v1/services/x", "tools"),
        ("GET", "/ui/app.js", "ui"),
        ("GET", "/", "ui"),
        ("GET", "/metrics", "metrics"),
        ("GET", "/health/live", "health"),
        ("GET", "/.env", "other"),
        ("GET", "//eureka/apps", "fetch"),
    ],
)
def test_requests_by_kind(method: str, path: str, route: str) -> None:
    assert route_of(method, path) == route
    assert route in ROUTES


async def test_who_may_read_it() -> None:
    async with wired(Settings(port=0, token=TOKEN + "-write", read_token=TOKEN)) as wire:
        for path in ("/metrics", TARGETS):
            assert (await wire.get(path)).status == 401
            allowed = await wire.get(path, {"Authorization": f"Bearer {TOKEN}"})
            assert allowed.status == 200
        # A scraper would need the token for it, and send it to everybody else as well.
        assert allowed.json() == []


# --- whom to scrape


def made(**metadata: str) -> Instance:
    said = {name.replace("_", "."): value for name, value in metadata.items()}
    return Instance(service="orders", id="i1", host="h1", port=8080, metadata=said)


async def test_it_lists_itself_and_those_who_tell_of_metrics(wire: Wire) -> None:
    await wire.register(
        instanceId="i2", app="STOCK", metadata={"management.port": "9990", "management.path": "/admin"}
    )
    await wire.register(instanceId="i3", app="STOCK", metadata={"prometheus.path": "/prom"}, status="DOWN")
    await wire.register(instanceId="i4", app="BAD", metadata={"prometheus.path": "javascript:alert(1)"})
    answer = await wire.get(TARGETS)
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    here, second, third = answer.json()
    assert here["targets"] == [wire.base.removeprefix("http://")]
    assert here["labels"]["__meta_resilient_service"] == "resilient-registry"
    assert second == {
        "targets": ["h1.example.net:9990"],
        "labels": {
            "__metrics_path__": "/metrics",
            "__scheme__": "http",
            "__meta_resilient_service": "stock",
            "__meta_resilient_instance": "i2",
            "__meta_resilient_zone": "default",
            "__meta_resilient_status": "UP",
            "__meta_resilient_version": "",
        },
    }
    assert third["targets"] == ["h1.example.net:8080"]
    assert third["labels"]["__metrics_path__"] == "/prom"
    assert third["labels"]["__meta_resilient_status"] == "DOWN"
    some = (await wire.get(f"{TARGETS}?service=Stock,nobody")).json()
    assert [one["labels"]["__meta_resilient_instance"] for one in some] == ["i2", "i3"]
    assert (await wire.get(f"{TARGETS}?service=nobody")).json() == []


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({}, None),
        ({"management_port": "9990"}, None),  # Spring tells that of applications without any metrics
        ({"management_path": "/actuator"}, "http://h1:8080/actuator/prometheus"),
        ({"management_path": "/actuator/", "management_port": "81"}, "http://h1:81/actuator/prometheus"),
        ({"management_path": "/admin", "prometheus_path": "/mine"}, "http://h1:8080/mine"),
        ({"prometheus_path": "/m", "prometheus_port": "7", "management_port": "8"}, "http://h1:7/m"),
        ({"prometheus_path": "/m", "prometheus_scheme": "https"}, "https://h1:8080/m"),
        ({"prometheus_path": "/m", "prometheus_scheme": "gopher"}, None),
        ({"prometheus_path": "m"}, None),
        ({"prometheus_path": ""}, None),
        ({"prometheus_path": "/m?module=x"}, None),
        ({"prometheus_path": "/m#x"}, None),
        ({"prometheus_path": "/m\n"}, None),
        ({"prometheus_path": "/" + 300 * "m"}, None),
        ({"prometheus_path": "/m", "prometheus_port": "0"}, None),
        ({"prometheus_path": "/m", "prometheus_port": "65536"}, None),
        ({"prometheus_path": "/m", "prometheus_port": "80@evil"}, None),
        ({"prometheus_path": "/m", "prometheus_port": "٣"}, None),
    ],
)
def test_what_an_instance_says_of_its_metrics(metadata: dict[str, str], wanted: str | None) -> None:
    target = target_of(made(**metadata))
    if wanted is None:
        assert target is None
        return
    assert target is not None
    labels: dict[str, Any] = target["labels"]
    assert f"{labels['__scheme__']}://{target['targets'][0]}{labels['__metrics_path__']}" == wanted


def test_hosts() -> None:
    for host, wanted in (("::1", "[::1]:80"), ("a_b.example", "a_b.example:80")):
        found = target_of(
            Instance(service="s", id="i", host=host, port=80, metadata={"prometheus.path": "/"})
        )
        assert found is not None
        assert found["targets"] == [wanted]
    for host in ("h1/evil", "h1@evil", "a b", "", 'h"1'):
        assert (
            target_of(Instance(service="s", id="i", host=host, port=80, metadata={"prometheus.path": "/"}))
            is None
        )
    tls = Instance(service="s", id="i", host="h", port=443, secure=True, metadata={"prometheus.path": "/"})
    found = target_of(tls)
    assert found is not None
    assert found["labels"]["__scheme__"] == "https"


async def test_names_that_need_care(bare: Wire) -> None:
    id = 'i"1<b>é'
    await bare.register(instanceId=id, metadata={"prometheus.path": "/m", "version": 'v"1' + 4000 * "9"})
    (_, target) = json.loads((await bare.get(TARGETS)).body)
    assert target["labels"]["__meta_resilient_instance"] == id
    assert len(target["labels"]["__meta_resilient_version"]) == 256


async def test_many(bare: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_targets, "AT_ONCE", 3)
    for n in range(8):
        await bare.register(instanceId=f"i{n}", metadata={"prometheus.path": "/m"})
    assert len((await bare.get(TARGETS)).json()) == 9
    monkeypatch.setattr(metrics_targets, "MOST_TARGETS", 5)
    assert len((await bare.get(TARGETS)).json()) == 6
