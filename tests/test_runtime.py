"""One process and its registry: found, lost, empty, restarted, absent; with and without an event loop."""

import asyncio
import subprocess
import sys
import threading
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from process_kit import clean_environ

import resilient
from registry_server.app import running
from registry_server.settings import Settings as RegistrySettings
from resilient import NoInstance, Runtime, circuit
from resilient.aiohttp.client import make_session
from resilient.events import LeaseChanged
from resilient.model import Instance, Status
from resilient.settings import Settings


def settings(*urls: str, **more: object) -> Settings:
    return Settings.load(
        {}, registry=",".join(urls), fetch_interval=0.1, push_interval=0.1, mdns=False, **more
    )


@asynccontextmanager
async def server(name: str):
    async def who(request: web.Request) -> web.Response:
        return web.json_response({"name": name})

    app = web.Application()
    app.router.add_get("/who", who)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def instance(port: int, service: str = "orders", **more: object) -> Instance:
    return Instance(service=service, id=f"127.0.0.1:{service}:{port}", host="127.0.0.1", port=port, **more)


async def until(there, timeout: float = 5.0):
    async with asyncio.timeout(timeout):
        while not (found := there()):
            await asyncio.sleep(0.02)
        return found


async def test_a_service_registers_and_a_caller_finds_it_by_name() -> None:
    async with (
        running() as registry,
        server("one") as port,
        Runtime(instance(port), settings=settings(registry.url)),
        Runtime(settings=settings(registry.url)) as caller,
        make_session() as http,
    ):
        await until(lambda: caller.knows("orders"))
        async with http.get("http://orders/who") as response:
            assert await response.json() == {"name": "one"}


async def test_leaving_signs_out() -> None:
    async with running() as registry, server("one") as port:
        async with Runtime(instance(port), settings=settings(registry.url)):
            await until(lambda: registry.views.service("orders"))
        assert registry.views.service("orders") is None


async def test_a_restarted_empty_registry_gets_everybody_back() -> None:
    async with server("one") as port:
        async with running() as registry:
            url, registry_port = registry.url, registry.port
            me = instance(port, renew_every=1.0, expire_after=3.0)
            runtime = Runtime(me, settings=settings(url))
            await runtime.__aenter__()
            await until(lambda: registry.views.service("orders"))
        try:
            async with running(RegistrySettings(port=registry_port)) as registry:
                await until(lambda: registry.views.service("orders"), 8)
        finally:
            await runtime.__aexit__(None, None, None)


async def test_the_last_directory_outlives_all_registries() -> None:
    async with server("one") as port:
        async with running() as registry:
            static = Runtime(instance(port), settings=settings(registry.url))
            caller = Runtime(settings=settings(registry.url))
            await static.__aenter__()
            await caller.__aenter__()
            await until(lambda: caller.knows("orders"))
        try:
            await asyncio.sleep(0.5)
            with caller.active():
                async with make_session() as http, http.get("http://orders/who") as response:
                    assert response.status == 200
        finally:
            await caller.__aexit__(None, None, None)
            await static.__aexit__(None, None, None)


async def test_fails_over_to_another_registry() -> None:
    async with running() as dead:
        gone = dead.url
    async with (
        running() as registry,
        server("one") as port,
        Runtime(instance(port), settings=settings(gone, registry.url)) as runtime,
    ):
        await until(lambda: registry.views.service("orders"))
        await until(lambda: runtime.knows("orders"))


async def test_without_a_registry_calls_by_name_say_so_at_once_and_decide_nothing() -> None:
    async with running() as dead:
        gone = dead.url
    async with Runtime(settings=settings(gone)), make_session() as http:

        @circuit(min_calls=1)
        async def order() -> None:
            async with http.get("http://orders/who"):
                pass

        with pytest.raises(NoInstance, match=r"no directory: .*no registry answers") as error:
            await order()
        assert error.value.undecided
        assert order.state == "closed"
        assert order.snapshot().counts["void"] == 1


async def test_a_registry_that_comes_late_is_found() -> None:
    async with running() as first:
        url, port = first.url, first.port
    async with (
        server("one") as service_port,
        Runtime(instance(service_port), settings=settings(url)) as runtime,
        running(RegistrySettings(port=port)) as registry,
    ):
        await until(lambda: registry.views.service("orders"), 10)
        await until(lambda: runtime.knows("orders"), 10)


async def test_unknown_service_has_a_hint() -> None:
    async with (
        running() as registry,
        server("one") as port,
        Runtime(instance(port), settings=settings(registry.url)) as runtime,
        make_session() as http,
    ):
        await until(lambda: runtime.knows("orders"))
        with pytest.raises(NoInstance, match="did you mean 'orders'"):
            await http.get("http://order/who")


async def test_out_of_service_gets_no_call() -> None:
    async with (
        running() as registry,
        server("one") as one,
        server("two") as two,
        Runtime(instance(one), settings=settings(registry.url)) as runtime,
        Runtime(instance(two), settings=settings(registry.url)),
    ):
        await until(lambda: len(runtime.lookup("orders")) == 2 if runtime.has_directory else False)
        runtime.set_status(Status.DOWN)
        await until(lambda: len(runtime.lookup("orders")) == 1)
        assert runtime.lookup("orders")[0].port == two


async def test_circuits_are_pushed_to_the_registry() -> None:
    async with running() as registry, Runtime(settings=settings(registry.url, service="shop")):

        @circuit("payments")
        async def pay() -> int:
            return 1

        await pay()
        rows = await until(lambda: registry.board.view())
        assert rows[0]["name"] == "payments"
        assert rows[0]["service"] == "shop"


async def test_lease_events_are_told() -> None:
    told: list[str] = []
    async with running() as registry, server("one") as port:
        runtime = Runtime(instance(port), settings=settings(registry.url))
        runtime.events.subscribe(lambda event: told.append(event.what), LeaseChanged)
        async with runtime:
            await until(lambda: told)
    assert told[0] == "registered"
    assert told[-1] == "signed-out"


def test_a_plain_program_registers_and_calls_on_a_background_loop() -> None:
    pytest.importorskip("requests")
    from resilient.requests import make_session as make_plain_session

    ready, stop = threading.Event(), threading.Event()
    found: dict[str, object] = {}

    async def serve() -> None:
        async with running() as registry, server("one") as port:
            found.update(registry=registry.url, port=port)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        me = instance(int(found["port"]))
        with Runtime(me, settings=settings(str(found["registry"]))) as runtime:
            runtime.wait()
            for _ in range(100):
                if runtime.knows("orders"):
                    break
                stop.wait(0.05)
            assert make_plain_session().get("http://orders/who").json() == {"name": "one"}
    finally:
        stop.set()
        thread.join(10)


def test_static_lists_need_no_registry() -> None:
    runtime = Runtime(instances={"Orders": ["http://10.0.0.7:8080", "10.0.0.8"]}, settings=Settings.load({}))
    with runtime.active():
        assert [one.url for one in resilient.instances("orders")] == [
            "http://10.0.0.7:8080",
            "http://10.0.0.8:80",
        ]
        with resilient.pick("orders") as chosen:
            assert chosen.instance.host.startswith("10.0.0.")
    with pytest.raises(resilient.ConfigError, match="is not a URL"):
        Runtime(instances={"orders": ["ftp://x"]}, settings=Settings.load({}))


def test_a_breaker_alone_starts_nothing() -> None:
    code = (
        "import sys, threading, resilient\n"
        "@resilient.circuit\n"
        "def f(): return 1\n"
        "f()\n"
        "assert 'aiohttp' not in sys.modules, 'aiohttp'\n"
        "assert 'zeroconf' not in sys.modules, 'zeroconf'\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=clean_environ(), timeout=30)


def test_a_forked_child_reads_the_directory_by_itself() -> None:
    code = (
        "import asyncio, os, sys, threading\n"
        "from resilient.runtime import process_runtime\n"
        "from registry_server.app import running\n"
        "async def main():\n"
        "    async with running() as registry:\n"
        "        os.environ['RESILIENT_REGISTRY'] = registry.url\n"
        "        runtime = process_runtime()\n"
        "        assert await runtime.ready()\n"
        "        child = os.fork()\n"
        "        if child == 0:\n"
        "            runtime._directory = None\n"
        "            os._exit(0 if runtime.wait(5) and runtime._directory is not None else 7)\n"
        "        _, status = await asyncio.to_thread(os.waitpid, child, 0)\n"
        "        assert os.waitstatus_to_exitcode(status) == 0, status\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=clean_environ(), timeout=30)


def test_switched_off_nothing_is_protected() -> None:
    code = (
        "import resilient\n"
        "@resilient.circuit(min_calls=1)\n"
        "def f(): raise ValueError\n"
        "for _ in range(5):\n"
        "    try: f()\n"
        "    except ValueError: pass\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=clean_environ(RESILIENT_ENABLED="0"), timeout=30
    )


async def test_while_looking_for_a_registry_a_call_fails_with_that_cause_before_its_own_deadline() -> None:
    # Nothing is named, nothing is here, and mDNS listens for three seconds.
    here = Settings.load({}, mdns=True)
    async with make_session() as http:
        runtime = Runtime(settings=here)
        with runtime.active():

            @circuit(timeout=0.5)
            async def order() -> None:
                async with http.get("http://orders/who"):
                    pass

            try:
                with pytest.raises(NoInstance, match="no directory"):
                    await order()
            finally:
                await runtime.aclose()


async def test_with_given_lists_nobody_waits_for_a_registry() -> None:
    async with asyncio.timeout(1):
        given = {"orders": ["http://10.0.0.7:8080"]}
        async with Runtime(instances=given, settings=Settings.load({})) as here:
            assert here.has_directory
            assert here.wait()


# ---------------------------------------------------------------- the feed, and waiting


async def test_a_change_is_seen_within_a_second_although_nobody_polls() -> None:
    async with (
        running() as registry,
        server("one") as port,
        Runtime(settings=Settings.load({}, registry=registry.url, mdns=False)) as caller,
    ):
        await until(lambda: caller._discovery is not None and caller._discovery.live)
        began = asyncio.get_running_loop().time()
        async with Runtime(instance(port), settings=settings(registry.url)):
            await until(lambda: caller.serves("orders"), 2)
            assert asyncio.get_running_loop().time() - began < 1
            with caller.balancer.pick("orders") as chosen:
                assert chosen.instance.port == port
        await until(lambda: not caller.serves("orders"), 1)


async def test_a_call_waits_for_the_first_instance() -> None:
    async with (
        running() as registry,
        server("one") as port,
        Runtime(settings=settings(registry.url, wait_for_instances=5)),
        make_session() as http,
    ):

        @circuit
        async def who() -> str:
            async with http.get("http://orders/who") as response:
                return (await response.json())["name"]

        calls = [asyncio.create_task(who()) for _ in range(3)]
        await asyncio.sleep(0.3)
        assert not any(call.done() for call in calls)
        async with Runtime(instance(port), settings=settings(registry.url)):
            assert await asyncio.gather(*calls) == ["one"] * 3


async def test_a_call_waits_no_longer_than_it_has_time() -> None:
    async with (
        running() as registry,
        Runtime(settings=settings(registry.url, wait_for_instances=60)),
        make_session() as http,
    ):

        @circuit(timeout=0.5)
        async def who() -> None:
            async with http.get("http://orders/who"):
                pass

        began = asyncio.get_running_loop().time()
        with pytest.raises(NoInstance):  # and not CallTimeout
            await who()
        assert 0.2 < asyncio.get_running_loop().time() - began < 0.5


def test_a_plain_call_waits_too() -> None:
    from resilient import balanced
    from resilient.testing import LocalRuntime

    runtime = LocalRuntime(settings=Settings.load({}, wait_for_instances=5))

    @balanced("orders")
    def where(base: str) -> str:
        return base

    with runtime.active():
        timer = threading.Timer(0.1, runtime.announce, [{"orders": "http://10.0.0.7:80"}])
        timer.start()
        assert where() == "http://10.0.0.7:80"
        timer.join()


async def test_an_unknown_name_is_asked_for_once_before_it_is_given_up() -> None:
    async with running() as registry, server("one") as port:
        static = Settings.load({}, registry=registry.url, mdns=False, fetch_interval=60)
        async with Runtime(settings=static) as caller, make_session() as http:
            assert caller._discovery is not None
            caller._discovery._feeder._plan.wait = lambda source: float("inf")  # as if there were no feed
            await until(lambda: caller._discovery.connected_url)
            async with Runtime(instance(port), settings=settings(registry.url)):
                await until(lambda: registry.views.service("orders"))
                if not caller.serves("orders"):
                    async with http.get("http://orders/who") as response:
                        assert response.status == 200


async def test_an_action_at_the_registry_turns_a_circuit_here_and_is_confirmed() -> None:
    async with running() as registry:
        configured = Settings.load({}, registry=registry.url, mdns=False, push_interval=60)
        async with Runtime(instance(80), settings=configured) as runtime, ClientSession() as http:

            @circuit("work")
            async def work() -> None:
                """Nothing."""

            await work()
            await until(lambda: runtime._discovery.live and runtime._discovery.registered)
            actions = f"{registry.url.removesuffix('/eureka/')}/resilient/v1/actions"
            asked = {"service": "orders", "circuit": "work", "action": "open", "reason": "a test"}
            async with http.post(actions, json=asked) as response:
                assert response.status == 202, await response.text()
            await until(lambda: work.state == "open", 2)

            async def state() -> str:
                async with http.get(actions) as response:
                    return (await response.json())[0]["state"]

            async with asyncio.timeout(3):
                while await state() != "confirmed":
                    await asyncio.sleep(0.02)
