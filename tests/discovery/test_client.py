import asyncio
import base64
import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import pytest
from aiohttp import web
from scripted import Scripted, free_port, listing, one

from resilient.clock import ManualClock
from resilient.discovery import client as module
from resilient.discovery.client import RegistryClient
from resilient.discovery.lease import Answer
from resilient.errors import RegistryRefused, RegistrySilent
from resilient.model import Action, Status
from resilient.settings import RegistryAddress

Another = Callable[[], Awaitable[Scripted]]
Make = Callable[..., RegistryClient]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[RegistryClient] = []

    def build(
        *addresses: RegistryAddress | str, seed: int = 1, clock: ManualClock | None = None, zone: str = ""
    ) -> RegistryClient:
        made.append(RegistryClient(addresses, zone=zone, clock=clock or ManualClock(), rng=Random(seed)))
        return made[-1]

    yield build
    for client in made:
        await client.close()


def status(code: int, text: str = "") -> Callable[[web.Request], web.Response]:
    return lambda request: web.Response(status=code, text=text)


async def test_the_life_of_a_registration(registry: Scripted, make: Make) -> None:
    client = make(registry.url)
    me = one("127.0.0.1:orders/é:80", dirty_at=7)
    assert await client.register(me) is Answer.TAKEN
    assert await client.renew(me) is Answer.TAKEN
    assert await client.set_status("orders", me.id, Status.OUT_OF_SERVICE) is Answer.UNKNOWN  # not scripted
    assert await client.cancel("orders", me.id) is Answer.TAKEN
    assert await client.cancel("orders", me.id) is Answer.UNKNOWN
    id = "127.0.0.1%3Aorders%2F%C3%A9%3A80"
    assert registry.calls == [
        "POST apps/ORDERS",
        f"PUT apps/ORDERS/{id}?status=UP&lastDirtyTimestamp=7",
        f"PUT apps/ORDERS/{id}/status?value=OUT_OF_SERVICE",
        f"DELETE apps/ORDERS/{id}",
        f"DELETE apps/ORDERS/{id}",
    ]
    sent = json.loads(registry.bodies[0])["instance"]
    assert (sent["instanceId"], sent["lastDirtyTimestamp"], sent["vipAddress"]) == (me.id, "7", "orders")
    assert registry.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize("code", [200, 404])
async def test_only_204_means_registered(registry: Scripted, make: Make, code: int) -> None:
    registry.answer = status(code)
    assert await make(registry.url).register(one("a")) is Answer.REFUSED


@pytest.mark.parametrize("code", [302, 400, 401, 409, 500, 503])
async def test_a_status_that_means_no_is_an_error_with_that_status(
    registry: Scripted, make: Make, code: int
) -> None:
    registry.answer = status(code, "<script>foreign text</script>")
    client = make(registry.url)
    for call in (client.register(one("a")), client.renew(one("a")), client.full()):
        with pytest.raises(RegistryRefused) as caught:
            await call
        assert caught.value.status == code
        assert "foreign" not in str(caught.value)
    assert client.connected_url == ""


async def test_a_404_to_a_heartbeat_is_understood_whatever_its_body(registry: Scripted, make: Make) -> None:
    registry.answer = status(404, "404: Not Found")
    assert await make(registry.url).renew(one("a")) is Answer.UNKNOWN


async def test_redirects_are_not_followed(registry: Scripted, another: Another, make: Make) -> None:
    elsewhere = await another()
    registry.answer = lambda request: web.Response(status=302, headers={"Location": elsewhere.url + "apps"})
    with pytest.raises(RegistryRefused):
        await make(registry.url).full()
    assert elsewhere.calls == []


async def test_lists_are_read_packed_or_not(registry: Scripted, make: Make) -> None:
    registry.put(one("a"))
    client = make(registry.url)
    source, page, position = await client.full()
    assert position == ""
    assert source == registry.url
    assert [instance.id for _, instance in page.entries] == ["a"]
    packed = gzip.compress(registry.full())
    registry.answer = lambda request: web.Response(
        body=packed, headers={"Content-Encoding": "gzip"}, content_type="application/json"
    )
    assert [instance.id for _, instance in (await client.delta()).page.entries] == ["a"]
    assert registry.headers[0]["Accept"] == "application/json"
    assert registry.headers[0]["Accept-Encoding"] == "gzip"


async def test_a_long_list_is_read_beside_the_loop(registry: Scripted, make: Make) -> None:
    for number in range(400):
        registry.put(one(f"instance-{number}"))
    assert len(registry.full()) > module._PARSE_HERE
    assert len((await make(registry.url).full()).page.entries) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"{",
        b"[]",
        b'{"applications": 3}',
        listing([(Action.ADDED, one("a"))])[:-9],
    ],
)
async def test_an_answer_that_makes_no_sense_is_no_list(registry: Scripted, make: Make, body: bytes) -> None:
    registry.answer = lambda request: web.Response(body=body, content_type="application/json")
    with pytest.raises(RegistrySilent, match="makes no sense"):
        await make(registry.url).full()


async def test_an_answer_without_end_is_cut_off(
    registry: Scripted, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 100_000)
    bomb = gzip.compress(b" " * 5_000_000)
    registry.answer = lambda request: web.Response(
        body=bomb, headers={"Content-Encoding": "gzip"}, content_type="application/json"
    )
    with pytest.raises(RegistrySilent, match="larger than"):
        await make(registry.url).full()


@pytest.mark.parametrize("code", [403, 404])
async def test_a_registry_without_deltas_is_not_a_bad_one(registry: Scripted, make: Make, code: int) -> None:
    client = make(registry.url)
    registry.answer = lambda request: web.Response(status=code) if request.path.endswith("delta") else None
    with pytest.raises(RegistryRefused):
        await client.delta()
    assert client.connected_url == registry.url
    await client.full()


async def test_a_dead_address_costs_one_try_and_is_asked_last_from_then_on(
    registry: Scripted, make: Make
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/eureka/"
    for seed in range(8):
        client = make(dead, registry.url, seed=seed)
        assert (await client.full()).source == registry.url
        assert client.urls == [registry.url, dead]
        assert client.connected_url == registry.url


async def test_three_addresses_are_asked_at_most_and_all_are_named(make: Make) -> None:
    dead = [f"http://user:geheim@127.0.0.1:{free_port()}" for _ in range(5)]
    with pytest.raises(RegistrySilent) as caught:
        await make(*dead).full()
    assert len(caught.value.tried) == 3
    assert "connection refused" in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(caught.value.tried)


async def test_the_next_address_is_asked_after_a_status_that_means_no(
    registry: Scripted, another: Another, make: Make
) -> None:
    other = await another()
    registry.answer = status(500)
    client = make(registry.url, other.url)
    for _ in range(3):
        assert await client.register(one("a")) is Answer.TAKEN
    assert registry.count("POST") <= 1
    assert other.count("POST") == 3


async def test_a_failed_address_is_forgiven_and_the_choice_made_anew_after_a_while(
    registry: Scripted, another: Another, make: Make
) -> None:
    other = await another()
    first_choices = set()
    for seed in range(20):
        clock = ManualClock()
        client = make(registry.url, other.url, seed=seed, clock=clock)
        before = client.urls[0]
        await client.full()
        clock.advance(590)
        assert client.urls[0] == before
        clock.advance(1211)
        first_choices.add((before, client.urls[0]))
        assert (await client.full()).source == client.urls[0]
    assert len({after for _, after in first_choices}) == 2
    assert any(before != after for before, after in first_choices)


async def test_addresses_of_the_own_zone_come_first(make: Make) -> None:
    near = [RegistryAddress.parse(f"near{number}", zone="east") for number in range(2)]
    far = [RegistryAddress.parse(f"far{number}", zone="west") for number in range(3)]
    for seed in range(10):
        urls = make(*far, *near, seed=seed, zone="east").urls
        assert set(urls[:2]) == {one.url for one in near}


async def test_a_second_opinion_comes_from_another_registry(
    registry: Scripted, another: Another, make: Make
) -> None:
    other = await another()
    client = make(registry.url, other.url)
    first = (await client.full()).source
    assert (await client.full(elsewhere=first)).source != first


async def test_a_registry_that_was_restarted_is_reached_at_the_first_try(
    registry: Scripted, make: Make
) -> None:
    client = make(registry.url)
    me = one("a")
    assert await client.register(me) is Answer.TAKEN
    await registry.restart()
    assert await client.register(me) is Answer.TAKEN  # the kept connection was closed at the other end


async def test_a_connection_that_ends_under_a_registration_is_replaced(make: Make) -> None:
    connections: list[int] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
            await reader.readexactly(length)
            connections[-1] += 1
            if connections[-1] == 2:  # kept open, and closed when it is used again
                break
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(once, "127.0.0.1", 0) as server:
        client = make(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(2):
            assert await client.register(one("a")) is Answer.TAKEN
        assert connections == [2, 1]
        await client.close()


async def test_credentials_go_to_their_own_address_only(
    registry: Scripted, another: Another, make: Make
) -> None:
    other = await another()
    mine = RegistryAddress.parse(f"http://user:geheim@127.0.0.1:{registry.port}")
    client = make(mine, RegistryAddress.parse(other.url, token="t"))
    registry.answer = other.answer = status(503)
    with pytest.raises(RegistryRefused):
        await client.full()
    assert registry.headers[0]["Authorization"] == "Basic " + base64.b64encode(b"user:geheim").decode()
    assert other.headers[0]["Authorization"] == "Bearer t"


async def test_a_missing_token_is_named(registry: Scripted, make: Make) -> None:
    registry.answer = status(401)
    with pytest.raises(RegistryRefused, match="RESILIENT_TOKEN"):
        await make(registry.url).register(one("a"))


async def test_a_registry_that_hangs_is_given_up(
    registry: Scripted, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUICK", module.aiohttp.ClientTimeout(total=0.05))

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    registry._serve = hang  # type: ignore[method-assign]
    await registry.restart()
    client = make(registry.url)
    with pytest.raises(RegistrySilent, match="no answer in time"):
        await client._ask("GET", "apps", timeout=module._QUICK)


async def test_a_full_list_that_comes_too_late_is_given_twice_the_time_next(
    registry: Scripted, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make(registry.url)
    allowed: list[float | None] = []
    trouble: Exception | None = TimeoutError()
    send = client._send

    async def late(door, method, url, body, timeout, **more):  # type: ignore[no-untyped-def]
        allowed.append(timeout.sock_read)
        if trouble is not None:
            raise trouble
        return await send(door, method, url, body, timeout, **more)

    monkeypatch.setattr(client, "_send", late)
    for _ in range(6):
        with pytest.raises(RegistrySilent):
            await client.full()
    assert allowed == [5, 10, 20, 40, 60, 60]
    trouble = ConnectionRefusedError()
    with pytest.raises(RegistrySilent):
        await client.full()
    with pytest.raises(RegistrySilent):
        await client.delta()
    trouble = None
    await client.full()
    await client.full()
    assert allowed[6:] == [60, 5, 60, 5], "a delta is short, and what is not there needs no patience"


async def test_a_list_in_an_encoding_nobody_asked_for_is_no_list(registry: Scripted, make: Make) -> None:
    registry.answer = lambda request: web.Response(
        body=registry.full(), headers={"Content-Encoding": "br"}, content_type="application/json"
    )
    with pytest.raises(RegistrySilent, match="encoding"):
        await make(registry.url).full()


async def test_circuits_go_to_the_registrys_own_path(registry: Scripted, make: Make) -> None:
    clock = ManualClock()
    client = make(registry.url, clock=clock)
    assert not await client.post_circuits({"circuits": []})  # nobody is known to answer yet
    await client.full()
    registry.answer = lambda request: web.Response(status=204) if request.method == "POST" else None
    assert await client.post_circuits({"circuits": []})
    assert await client.post_circuits(b'{"circuits":[1]}')
    assert registry.calls[-1] == "POST /resilient/v1/circuits"
    assert registry.bodies[-2:] == [b'{"circuits":[]}', b'{"circuits":[1]}']


async def test_a_registry_without_a_place_for_circuits_is_left_alone_for_a_while(
    registry: Scripted, make: Make
) -> None:
    clock = ManualClock()
    client = make(registry.url, clock=clock)
    await client.full()
    for _ in range(3):
        assert not await client.post_circuits({})
    assert registry.count("POST") == 1
    clock.advance(301)
    assert not await client.post_circuits({})
    assert registry.count("POST") == 2
    await registry.stop()
    clock.advance(301)
    assert not await client.post_circuits({})


async def test_giving_up_a_call_leaves_nothing_behind(registry: Scripted, make: Make) -> None:
    client = make(registry.url)
    await client.full()
    before = len(asyncio.all_tasks())
    for steps in range(25):
        task = asyncio.ensure_future(client.register(one(f"i{steps}")))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert (await client.full()).source == registry.url
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= before + 1


async def test_host_names_are_looked_up(registry: Scripted, make: Make) -> None:
    client = make(f"http://localhost:{registry.port}")
    assert (await client.full()).page.entries == []
    unknown = make("http://no-such-host.invalid:1")
    with pytest.raises(RegistrySilent, match="host name not found"):
        await unknown.full()
