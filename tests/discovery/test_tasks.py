import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from scripted import INTERVAL, Scripted, ids, me, one, said, until

from resilient.background import BackgroundLoop
from resilient.discovery import polling, tasks
from resilient.discovery.tasks import Discovery
from resilient.events import Event, LeaseChanged
from resilient.model import Instance, Status
from resilient.settings import Settings

Make = Callable[..., Discovery]


# -- the registration (cases 95 and 99) -----------------------------------------------------------


async def test_the_life_of_an_instance(registry: Scripted, make: Make, events: list[Event]) -> None:
    discovery = make([registry.url], me)
    await discovery.start()
    await until(lambda: registry.count("PUT apps/ORDERS/me?status=UP") >= 2)
    assert discovery.registered
    assert discovery.last_error == ""
    assert registry.count("POST") == 1
    began = asyncio.get_running_loop().time()
    await discovery.stop()
    assert (
        asyncio.get_running_loop().time() - began < 0.4
    )  # it asks its loops to end, it does not wait them out
    assert registry.instances == {}
    calls = len(registry.calls)
    assert registry.calls[-1] == "DELETE apps/ORDERS/me"
    await asyncio.sleep(3 * INTERVAL)
    assert len(registry.calls) == calls  # nothing follows
    assert said(events, LeaseChanged) == ["registered", "signed-out"]
    assert discovery.instance is not None
    assert discovery.instance.status is Status.DOWN
    await discovery.stop()


@pytest.mark.parametrize("code", [200, 400, 500])
async def test_a_registration_that_was_not_taken_is_repeated(
    registry: Scripted, make: Make, code: int
) -> None:
    registry.answer = lambda request: web.Response(status=code) if request.method == "POST" else None
    discovery = make([registry.url], me())
    await discovery.start()
    await until(lambda: registry.count("POST") >= 3)
    assert not discovery.registered
    assert registry.count("PUT") == 0
    await until(lambda: discovery.last_error)
    registry.answer = None
    await until(lambda: discovery.registered)
    await until(lambda: discovery.last_error == "")


async def test_a_registry_that_lost_us_gets_us_back_at_once(
    registry: Scripted, make: Make, events: list[Event]
) -> None:
    discovery = make([registry.url], me(renew_every=0.2))
    await discovery.start()
    await until(lambda: discovery.registered)
    assert discovery.instance is not None
    stamp = discovery.instance.dirty_at
    await registry.restart()
    registry.answer = lambda request: (
        web.Response(status=404, text="404: Not Found")
        if request.method == "PUT" and not registry.instances
        else None
    )
    await until(lambda: registry.instances)
    assert registry.instances["me"].dirty_at > stamp
    lost = next(i for i, call in enumerate(registry.calls) if call.startswith("PUT"))
    later = [call for call in registry.calls[lost:] if not call.startswith("GET")]
    assert "POST apps/ORDERS" in later
    assert said(events, LeaseChanged)[:1] == ["registered"]
    await until(lambda: said(events, LeaseChanged)[-1] == "registered")
    assert "lost" in said(events, LeaseChanged)


async def test_another_status_is_told_at_once(registry: Scripted, make: Make) -> None:
    discovery = make([registry.url], me(renew_every=30))
    await discovery.start()
    await until(lambda: discovery.registered)
    threading.Thread(target=discovery.become, args=(Status.DOWN,)).start()
    await until(lambda: registry.instances["me"].status is Status.DOWN)
    assert registry.count("POST") == 2


async def test_no_sign_out_where_that_is_off(registry: Scripted, make: Make) -> None:
    discovery = make([registry.url], me(), settings={"sign_out": False})
    await discovery.start()
    await until(lambda: discovery.registered)
    await discovery.stop()
    assert registry.count("DELETE") == 0
    assert "me" in registry.instances


async def test_nothing_is_registered_where_that_is_off(registry: Scripted, make: Make) -> None:
    discovery = make([registry.url], me(), settings={"register": False})
    await discovery.start()
    await discovery.ready.wait()
    await discovery.stop()
    assert {call.split()[0] for call in registry.calls} == {"GET"}


async def test_a_missing_host_and_id_are_found_out(registry: Scripted, make: Make) -> None:
    lacking = Instance(service="orders", id="", host="", port=8123)
    discovery = make([registry.url], lambda: lacking)
    await discovery.start()
    await until(lambda: registry.instances)
    assert list(registry.instances) == ["127.0.0.1:orders:8123"]


async def test_of_several_workers_the_last_one_signs_off(registry: Scripted, make: Make) -> None:
    workers = [make([registry.url], me()) for _ in range(3)]
    for worker in workers:
        await worker.start()
    await until(lambda: all(worker.registered for worker in workers))
    for worker in workers[:2]:
        await worker.stop()
        assert "me" in registry.instances
    await workers[2].stop()
    assert registry.instances == {}
    assert registry.count("DELETE") == 1


# -- hooks ----------------------------------------------------------------------------------------


async def test_an_early_refresh_is_read_at_once_but_not_in_a_storm(
    registry: Scripted, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "REFRESH_GAP", 0.2)
    discovery = make([registry.url], settings={})
    discovery._poller._interval = 30.0
    await discovery.start()
    await discovery.ready.wait()
    registry.put(one("a"))
    discovery.refresh()
    await until(lambda: ids(discovery) == ["a"], 1)
    before, began = registry.count("GET"), asyncio.get_running_loop().time()
    for _ in range(30):
        threading.Thread(target=discovery.refresh).start()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    most = (asyncio.get_running_loop().time() - began) / 0.2 + 1  # others may keep the machine busy
    assert 1 <= registry.count("GET") - before <= most


async def test_circuits_are_told_in_turn_and_when_nudged(registry: Scripted, make: Make) -> None:
    told: list[object] = [None, {"n": 1}]
    registry.answer = lambda request: web.Response(status=204) if "circuits" in request.path else None
    discovery = make([registry.url], circuits=lambda: told[-1])
    await discovery.start()
    await until(lambda: registry.count("POST /resilient/v1/circuits") >= 2)
    discovery.push_interval = 30.0
    await asyncio.sleep(3 * INTERVAL)
    before = registry.count("POST")
    discovery.nudge()
    await until(lambda: registry.count("POST") == before + 1)
    told.append(None)
    discovery.nudge()
    await asyncio.sleep(0.15)
    assert registry.count("POST") == before + 1


async def test_errors_in_what_was_handed_in_cost_neither_list_nor_heartbeat(
    registry: Scripted, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("not today")

    discovery = make([registry.url], me(), on_directory=broken, circuits=broken)
    await discovery.start()
    await until(lambda: registry.count("PUT") >= 2 and ids(discovery) == ["me"])
    assert "not today" in caplog.text


# -- ends -----------------------------------------------------------------------------------------


async def test_an_end_with_a_registry_that_hangs_comes_in_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "STOP_WITHIN", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        discovery = make([f"http://127.0.0.1:{deaf.getsockname()[1]}"], me())
        await discovery.start()
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await discovery.stop()
        assert asyncio.get_running_loop().time() - began < 0.8


async def test_ending_at_any_moment_leaves_no_task_and_no_registration(
    registry: Scripted, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    before = asyncio.all_tasks()
    for steps in range(40):
        discovery = make([registry.url], me(f"i{steps}"), circuits=dict)
        await discovery.start()
        for _ in range(steps):
            await asyncio.sleep(0)
        await discovery.stop()
    await asyncio.sleep(0.05)
    assert registry.instances == {}
    own = {task for task in asyncio.all_tasks() - before if "resilient" in task.get_name()}
    assert own == set()
    assert complaints == []
    assert caplog.records == []


async def test_a_registration_under_way_does_not_arrive_after_the_sign_out(
    registry: Scripted, make: Make
) -> None:
    registry.delay = 0.1
    discovery = make([registry.url], me())
    await discovery.start()
    await until(lambda: registry.count("POST"))
    await discovery.stop()
    await asyncio.sleep(0.15)
    assert registry.calls[-1] == "DELETE apps/ORDERS/me"
    assert registry.instances == {}


async def test_stopping_that_is_cancelled_still_closes_everything(registry: Scripted, make: Make) -> None:
    discovery = make([registry.url], me())
    await discovery.start()
    await until(lambda: discovery.registered)
    stopping = asyncio.ensure_future(discovery.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    await asyncio.sleep(0.05)
    assert discovery._client is not None
    assert discovery._client._session is None
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("resilient")] == []


async def test_it_may_be_started_again(registry: Scripted, make: Make) -> None:
    discovery = make([registry.url], me())
    for _ in range(2):
        await discovery.start()
        await discovery.start()
        await until(lambda: discovery.registered and "me" in registry.instances)
        await discovery.stop()
        assert registry.instances == {}


def test_it_runs_on_a_background_loop() -> None:
    loop = BackgroundLoop()
    server = loop.run(Scripted().start()).result(5)
    discovery = Discovery(Settings.load({}, fetch_interval=INTERVAL), [server.url], me())

    async def begin() -> None:
        await discovery.start()
        await discovery.ready.wait()

    loop.run(begin()).result(5)
    loop.on_stop(discovery.stop)
    loop.run(until(lambda: discovery.registered)).result(5)
    loop.stop()
    assert server.calls[-1] == "DELETE apps/ORDERS/me"


async def test_no_secret_is_written_anywhere(
    registry: Scripted, make: Make, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "kanarienvogel"
    discovery = make([f"http://user:{secret}@127.0.0.1:{registry.port}/eureka"], me())
    await discovery.start()
    await until(lambda: discovery.registered)
    registry.answer = lambda request: web.Response(status=500, text=secret)
    await until(lambda: discovery.last_error)
    await registry.stop()
    await asyncio.sleep(0.2)
    await discovery.stop()
    assert secret not in caplog.text + repr(events) + discovery.last_error + repr(discovery.report())
