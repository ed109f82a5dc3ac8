"""The directory's side of `Discovery` (cases 96 to 98, R-11, R-12, R-35)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from scripted import INTERVAL, Scripted, free_port, ids, me, one, said, until

from resilient.discovery import mirror
from resilient.discovery.locate import Located
from resilient.discovery.tasks import Discovery
from resilient.errors import RegistrySilent, RegistryUnknown
from resilient.events import DirectoryChanged, Event, LeaseChanged, RegistryChanged
from resilient.model import Directory
from resilient.settings import RegistryAddress

Another = Callable[[], Awaitable[Scripted]]
Make = Callable[..., Discovery]


async def test_all_is_read_first_and_changes_later(
    registry: Scripted, make: Make, events: list[Event]
) -> None:
    heard: list[Directory] = []
    registry.put(one("a"))
    discovery = make([registry.url], on_directory=lambda directory, touched: heard.append(directory))
    await discovery.start()
    await asyncio.wait_for(discovery.ready.wait(), 2)
    assert ids(discovery) == ["a"]
    registry.put(one("b"))
    await until(lambda: ids(discovery) == ["a", "b"])
    registry.drop("a")
    await until(lambda: ids(discovery) == ["b"])
    assert registry.count("GET apps/delta") >= 2
    assert registry.calls.count("GET apps") == 1
    assert [len(directory) for directory in heard] == [1, 2, 1]
    assert [event.services for event in events if isinstance(event, DirectoryChanged)] == [("orders",)] * 3
    assert said(events, RegistryChanged) == ["connected"]
    assert discovery.age is not None
    assert discovery.age < 2
    assert discovery.report()["connected"] == registry.url


async def test_an_empty_registry_is_ready_too(registry: Scripted, make: Make) -> None:
    heard: list[Directory] = []
    discovery = make([registry.url], on_directory=lambda directory, touched: heard.append(directory))
    await discovery.start()
    await asyncio.wait_for(discovery.ready.wait(), 2)
    assert heard == [Directory()]


@pytest.mark.parametrize("code", [403, 404, 500, 200])
async def test_a_delta_that_does_not_work_is_replaced_by_a_full_read(
    registry: Scripted, make: Make, code: int
) -> None:
    registry.put(one("a"))
    registry.answer = lambda request: (
        web.Response(status=code, text="nonsense") if request.path.endswith("delta") else None
    )
    discovery = make([registry.url])
    await discovery.start()
    await discovery.ready.wait()
    registry.put(one("b"))
    await until(lambda: ids(discovery) == ["a", "b"])


async def test_a_delta_with_a_gap_is_replaced_by_a_full_read(registry: Scripted, make: Make) -> None:
    registry.put(one("a"))
    discovery = make([registry.url])
    await discovery.start()
    await discovery.ready.wait()
    registry.put(one("b"))
    registry.recent.clear()
    await until(lambda: ids(discovery) == ["a", "b"])
    assert registry.calls.count("GET apps") == 2


@pytest.mark.parametrize(
    "body", [b"<html>welcome</html>", b'{"applications":', b'{"applications": 7}', b"\x00" * 100]
)
async def test_a_registry_that_talks_nonsense_empties_nothing(
    registry: Scripted, make: Make, events: list[Event], body: bytes
) -> None:
    registry.put(one("a"))
    discovery = make([registry.url])
    await discovery.start()
    await discovery.ready.wait()
    registry.answer = lambda request: web.Response(body=body, content_type="application/json")
    await until(lambda: discovery.last_error)
    calls = len(registry.calls)
    await until(lambda: len(registry.calls) > calls + 3)
    assert ids(discovery) == ["a"]
    assert said(events, RegistryChanged) == ["connected", "lost"]
    registry.answer = None
    await until(lambda: discovery.last_error == "")
    assert said(events, RegistryChanged) == ["connected", "lost", "connected"]


async def test_a_dead_registry_leaves_the_last_list_and_is_complained_about_once(
    registry: Scripted, make: Make, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    registry.put(one("a"))
    discovery = make([registry.url], me())
    await discovery.start()
    await until(lambda: discovery.registered and ids(discovery) == ["a", "me"])
    await registry.stop()
    await until(lambda: discovery.last_error)
    await asyncio.sleep(0.5)
    assert ids(discovery) == ["a", "me"]
    assert discovery.age is not None
    assert discovery.age > 0.3
    assert discovery.connected_url == ""
    assert said(events, RegistryChanged) == ["connected", "lost"]
    assert said(events, LeaseChanged) == ["registered", "unreachable"]
    assert caplog.records == []
    await registry.restart()
    await until(lambda: "me" in registry.instances)
    await until(lambda: ids(discovery) == ["me"])  # one registry's word is enough
    assert discovery.connected_url == registry.url


async def test_a_heartbeat_that_comes_through_ends_the_pause_of_the_directory(
    registry: Scripted, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    discovery = make([registry.url], me())
    await discovery.start()
    await until(lambda: discovery.registered and discovery.connected_url)
    # From here on the directory's loop would wait for ever after a failure, were it not woken.
    wait = discovery._poller.bell.wait
    monkeypatch.setattr(discovery._poller.bell, "wait", lambda seconds: wait(float("inf")))
    await asyncio.sleep(3 * INTERVAL)
    discovery._poller.lost(registry.url, RegistrySilent([(registry.url, "gone")]))
    await until(lambda: discovery.connected_url == registry.url)


async def test_an_empty_list_from_one_of_two_registries_is_not_believed(
    registry: Scripted, another: Another, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "APART", 0.02)
    other = await another()
    for server in (registry, other):
        server.put(one("a"))
    discovery = make([registry.url, other.url])
    await discovery.start()
    await discovery.ready.wait()
    if discovery.connected_url == other.url:
        registry, other = other, registry
    await registry.restart()
    calls = other.calls.count("GET apps") + registry.calls.count("GET apps")
    await until(
        lambda: other.calls.count("GET apps") + registry.calls.count("GET apps") > calls or ids(discovery)
    )
    await asyncio.sleep(0.3)
    assert ids(discovery) == ["a"]
    await other.restart()
    await until(lambda: ids(discovery) == [])


async def test_of_two_registries_the_living_one_is_used(
    registry: Scripted, another: Another, make: Make, events: list[Event]
) -> None:
    other = await another()
    registry.put(one("a"))
    other.put(one("a"))
    discovery = make([registry.url, other.url], me())
    await discovery.start()
    await until(lambda: discovery.registered and discovery.connected_url)
    used, spare = (registry, other) if discovery.connected_url == registry.url else (other, registry)
    await used.stop()
    await until(lambda: discovery.connected_url == spare.url)
    await until(lambda: "me" in spare.instances)
    assert "lost" not in said(events, RegistryChanged)
    assert "moved" in said(events, RegistryChanged)
    assert "a" in ids(discovery)


async def test_starting_does_not_wait_for_a_registry(make: Make, events: list[Event]) -> None:
    server = Scripted()
    server.port = free_port()
    discovery = make([server.url], me())
    await asyncio.wait_for(discovery.start(), 0.1)
    await until(lambda: discovery.last_error)
    await asyncio.sleep(0.1)
    assert not discovery.ready.is_set()
    assert "refused" in discovery.last_error
    assert [(event.what, event.url) for event in events if isinstance(event, RegistryChanged)] == [
        ("lost", server.url)
    ]
    await server.start()
    try:
        await asyncio.wait_for(discovery.ready.wait(), 3)
        await until(lambda: discovery.registered)
        assert discovery.last_error == ""
        await discovery.stop()
    finally:
        await server.stop()


async def test_a_registry_without_a_name_is_looked_for_until_it_is_there(
    registry: Scripted, make: Make, events: list[Event]
) -> None:
    asked = 0

    async def find() -> Located:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise RegistryUnknown(["looked under the bed"])
        return Located((RegistryAddress.parse(registry.url),), "this machine")

    discovery = make(find, me())
    await discovery.start()
    await until(lambda: discovery.registered)
    assert asked == 3
    assert said(events, RegistryChanged) == ["lost", "connected"]
