"""The feed from end to end, against a registry that does what the test tells it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from scripted import INTERVAL, Scripted, ids, me, one, said, until

from resilient.discovery.tasks import Discovery
from resilient.events import DirectoryChanged, Event, FeedChanged, RegistryChanged

Make = Callable[..., Discovery]
FEED = "GET /resilient/v1/feed"


@pytest.fixture
async def fed(registry: Scripted) -> Scripted:
    registry.put(one("a"))
    registry.put(one("b", "billing"))
    registry.offer_feed()
    return registry


async def live(discovery: Discovery) -> Discovery:
    await discovery.start()
    await until(lambda: discovery.live)
    return discovery


async def test_changes_come_by_the_feed_and_the_polls_stop(
    fed: Scripted, make: Make, events: list[Event]
) -> None:
    heard: list[Any] = []
    discovery = make([fed.url], on_directory=lambda directory, touched: heard.append(touched))
    await live(discovery)
    polls = fed.count("GET apps")
    fed.put(one("c"))
    await fed.flush()
    await until(lambda: ids(discovery) == ["a", "b", "c"])
    fed.drop("a")
    fed.put(one("d"))
    await fed.flush()
    await until(lambda: ids(discovery) == ["b", "c", "d"])
    await asyncio.sleep(4 * INTERVAL)
    assert fed.count("GET apps") <= polls + 1
    assert [set(touched or ()) for touched in heard] == [set(), {"orders"}, {"orders"}]
    assert [e.services for e in events if isinstance(e, DirectoryChanged)][1:] == [("orders",)] * 2
    assert said(events, FeedChanged) == ["live"]
    report = discovery.report()["feed"]
    assert report == {"state": "live", "position": "e1-3", "changes": 3, "opened": 1, "error": ""}
    (query,) = [call for call in fed.calls if call.startswith(FEED)]
    assert "snapshot=0" in query
    assert "worker=" in query


async def test_it_names_the_instance_it_reads_for(fed: Scripted, make: Make) -> None:
    discovery = make([fed.url], me("me:orders:80", 30))
    await discovery.start()
    await until(lambda: discovery.registered and discovery.live)
    await until(lambda: fed.streams)
    assert any("instance=ORDERS%2Fme%3Aorders%3A80" in call for call in fed.calls)


async def test_a_stream_that_ends_is_resumed_without_reading_all(
    fed: Scripted, make: Make, events: list[Event]
) -> None:
    discovery = await live(make([fed.url]))
    fulls = fed.calls.count("GET apps")
    await fed.hang_up()
    await until(lambda: "lost" in said(events, FeedChanged))
    fed.put(one("c"))
    await until(lambda: ids(discovery) == ["a", "b", "c"])
    await until(lambda: discovery.live)
    assert fed.calls.count("GET apps") == fulls
    assert said(events, FeedChanged) == ["live", "lost", "live"]
    assert discovery.report()["feed"]["opened"] == 2  # type: ignore[index]


async def test_a_restart_is_followed_by_one_full_read_and_a_new_stream(
    fed: Scripted, make: Make, events: list[Event]
) -> None:
    discovery = await live(make([fed.url]))
    await fed.restart()
    fed.put(one("z"))
    await until(lambda: discovery.live and "z" in ids(discovery))
    assert ids(discovery) == ["a", "b", "z"]  # they may be on their way back
    assert discovery.report()["in_grace"] == 2
    assert fed.calls.count("GET apps") == 2
    fed.put(one("y"))
    await fed.flush()
    await until(lambda: "y" in ids(discovery))
    fed.put(one("a"))
    fed.drop("a")
    await fed.flush()
    await until(lambda: ids(discovery) == ["b", "y", "z"])


async def test_polls_go_on_while_the_feed_is_refused(fed: Scripted, make: Make) -> None:
    fed.answer = lambda request: web.Response(status=503) if request.path.endswith("/feed") else None
    discovery = make([fed.url])
    await discovery.start()
    await until(lambda: fed.count(FEED) >= 2)
    fed.put(one("c"))
    await until(lambda: ids(discovery) == ["a", "b", "c"])
    assert discovery.last_error == ""
    assert discovery.report()["feed"]["error"] == "no feed: status 503"  # type: ignore[index]
    fed.answer = None
    await until(lambda: discovery.live)


@pytest.mark.parametrize("status", [200, 404, 405, 501])
async def test_a_registry_without_a_feed_is_asked_once(fed: Scripted, make: Make, status: int) -> None:
    fed.answer = lambda request: web.Response(status=status) if request.path.endswith("/feed") else None
    discovery = make([fed.url])
    await discovery.start()
    await until(lambda: fed.count("GET apps") >= 5)
    assert fed.count(FEED) == 1
    fed.put(one("c"))
    await until(lambda: ids(discovery) == ["a", "b", "c"])


async def test_whoever_has_an_impossible_name_reads_without_one(fed: Scripted, make: Make) -> None:
    fed.answer = lambda request: web.Response(status=400) if "instance" in request.query else None
    discovery = await live(make([fed.url], who=lambda: ("A B/c", "host:7")))
    assert fed.count(FEED) == 2
    assert ids(discovery) == ["a", "b"]


async def test_a_foreign_registry_is_never_asked(registry: Scripted, make: Make) -> None:
    await make([registry.url]).start()
    await until(lambda: registry.count("GET apps") >= 4)
    assert registry.count(FEED) == 0


async def test_a_reset_in_the_middle_is_followed_by_a_full_read(fed: Scripted, make: Make) -> None:
    discovery = await live(make([fed.url]))
    fed.put(one("c"))
    for stream in fed.streams:
        stream.place = len(fed.frames)  # this change is never told
    await fed.say("reset", {"reason": "too much has changed"}, fed.position)
    await until(lambda: ids(discovery) == ["a", "b", "c"] and discovery.live)
    fed.put(one("d"))
    await fed.flush()
    await until(lambda: "d" in ids(discovery))
    assert fed.count(FEED) == 1


async def test_a_gap_is_noticed_and_no_wrong_list_is_served(fed: Scripted, make: Make) -> None:
    served: list[list[str]] = []
    discovery = make([fed.url], on_directory=lambda *_: served.append(ids(discovery)))
    await live(discovery)
    fed.put(one("c"))
    for stream in fed.streams:
        stream.place = len(fed.frames)
    fed.put(one("d"))
    await fed.flush()
    await until(lambda: ids(discovery) == ["a", "b", "c", "d"] and discovery.live)
    assert served == [["a", "b"], ["a", "b", "c", "d"]]


@pytest.mark.parametrize("noise", [b"event: change\ndata: {\n\n", b"data: " + b"x" * 2_000_000])
async def test_nonsense_ends_the_stream_and_harms_nobody(fed: Scripted, make: Make, noise: bytes) -> None:
    discovery = await live(make([fed.url]))
    await fed.streams[0].write(noise)
    await until(lambda: discovery.report()["feed"]["opened"] == 2)  # type: ignore[index]
    await until(lambda: discovery.live)
    assert ids(discovery) == ["a", "b"]


async def test_a_silent_stream_is_given_up(fed: Scripted, make: Make, events: list[Event]) -> None:
    discovery = await live(make([fed.url]))
    await fed.say("hello", {"heartbeat": 0.05})
    await until(lambda: "lost" in said(events, FeedChanged))
    await until(lambda: discovery.report()["feed"]["opened"] == 2)  # type: ignore[index]
    assert said(events, RegistryChanged) == ["connected"]


async def test_gone_is_said_and_kept(fed: Scripted, make: Make) -> None:
    discovery = await live(make([fed.url]))
    await fed.say("gone", {"retry_in": 0.1})
    await until(lambda: discovery.report()["feed"]["opened"] == 2)  # type: ignore[index]
    await until(lambda: discovery.live)


async def test_the_feed_follows_the_registry_that_gives_the_list(
    fed: Scripted, another: Callable[[], Any], make: Make
) -> None:
    other = await another()
    for instance in fed.instances.values():
        other.put(instance)
    other.offer_feed("f1")
    discovery = await live(make([fed.url, other.url]))
    first, second = (fed, other) if fed.streams else (other, fed)
    first.answer = lambda request: web.Response(status=500)
    await first.hang_up()
    await until(lambda: second.streams and discovery.live)
    second.put(one("c"))
    await second.flush()
    await until(lambda: ids(discovery) == ["a", "b", "c"])


async def test_commands_for_us_and_for_nobody_else(fed: Scripted, make: Make) -> None:
    obeyed: list[Any] = []

    def obey(payload: Any) -> None:
        obeyed.append(payload["id"])
        raise RuntimeError("not today")

    told: list[int] = []
    discovery = make(
        [fed.url],
        who=lambda: ("ORDERS/i/1", "host:7"),
        on_command=obey,
        circuits=lambda: told.append(1) or {},  # type: ignore[func-returns-value]
        settings={},
    )
    discovery.push_interval = 30.0
    await live(discovery)
    for id, instance, worker in [
        ("1", "ORDERS/i/2", ""),
        ("2", "BILLING/i/1", ""),
        ("3", "ORDERS/i/1", "host:8"),
        ("4", "", ""),
        ("5", "ORDERS/i/1", ""),
        ("6", "orders/i/1", "host:7"),
        ("7", "ORDERS/I/1", ""),
    ]:
        await fed.say("command", {"id": id, "instance": instance, "worker": worker})
    await fed.say("command", ["nonsense"])
    await until(lambda: obeyed == ["5", "6"])
    await until(lambda: discovery.report()["feed"]["opened"] == 2)  # type: ignore[index]


async def test_a_command_is_confirmed_at_once(fed: Scripted, make: Make) -> None:
    obeyed: list[Any] = []
    told: list[int] = []
    discovery = make(
        [fed.url],
        who=lambda: ("ORDERS/i1", "host:7"),
        on_command=obeyed.append,
        circuits=lambda: told.append(len(obeyed)) or {},  # type: ignore[func-returns-value]
    )
    discovery.push_interval = 30.0
    await live(discovery)
    await fed.say("command", {"id": "5", "instance": "ORDERS/i1", "worker": ""})
    await until(lambda: told and told[-1] == 1)


async def test_circuits_are_told_more_often_while_somebody_looks(
    fed: Scripted, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resilient.discovery.tasks.WATCHED", 0.05)
    told: list[int] = []
    discovery = make([fed.url], circuits=lambda: told.append(1) or {})  # type: ignore[func-returns-value]
    discovery.push_interval = 30.0
    await live(discovery)
    await asyncio.sleep(0.2)
    before = len(told)
    await fed.say("watched", {"circuits": True})
    await until(lambda: len(told) >= before + 3)
    await fed.say("watched", {"circuits": False})
    await asyncio.sleep(0.35)
    before = len(told)
    await asyncio.sleep(0.4)
    assert len(told) <= before + 1


async def test_a_refresh_is_needless_while_the_feed_is_live(fed: Scripted, make: Make) -> None:
    discovery = await live(make([fed.url]))
    await asyncio.sleep(3 * INTERVAL)
    before = fed.count("GET apps")
    discovery.refresh()
    await discovery.refreshed()
    await asyncio.sleep(2 * INTERVAL)
    assert fed.count("GET apps") == before


async def test_credentials_go_with_it_and_stay_out_of_the_report(fed: Scripted, make: Make) -> None:
    discovery = await live(make([f"http://user:kanarienvogel@127.0.0.1:{fed.port}/eureka"]))
    headers = [h for call, h in zip(fed.calls, fed.headers, strict=True) if call.startswith(FEED)]
    assert headers[0]["Authorization"].startswith("Basic ")
    assert "kanarienvogel" not in repr(discovery.report())


async def test_ending_while_it_streams_leaves_nothing(fed: Scripted, make: Make, events: list[Event]) -> None:
    discovery = await live(make([fed.url], me(renew_every=30)))
    began = asyncio.get_running_loop().time()
    await discovery.stop()
    assert asyncio.get_running_loop().time() - began < 0.6
    assert said(events, FeedChanged)[-1] == "live"  # nobody was told that something is wrong
