"""Cases 65 to 76: reads, virtual addresses, deltas, hash, cache, limits."""

from __future__ import annotations

import asyncio
import gzip
from random import Random
from typing import Any

import pytest
from conformance_kit import JSON, XML, Server, Wire, alone, unprotected, wired

from registry_server.ratelimit import Rates

NOBODY = {"versions__delta": "-1", "apps__hashcode": "", "application": []}


def hash_of(statuses: list[str]) -> str:
    """The specification's hash, on its own: no code of the server is trusted here."""
    return "".join(f"{status}_{statuses.count(status)}_" for status in sorted(set(statuses)))


@pytest.mark.wire("M")
async def test_case_065_by_id_alone(here: Server) -> None:
    """``instances/{id}``: the wrapped instance."""
    answer = await here.get(f"instances/{here.id()}")
    assert answer.status == 200
    assert answer.json() == {"instance": await here.read()}


@pytest.mark.wire("M")
@pytest.mark.parametrize(("resource", "member"), [("vips", "vipAddress"), ("svips", "secureVipAddress")])
async def test_case_066_virtual_addresses(server: Server, resource: str, member: str) -> None:
    """Each name of a VIP list finds the instance, exactly as it is spelt; others find nobody, with 200."""
    a, b = server.id("a"), server.id("b")
    other = "svips" if resource == "vips" else "vips"
    await server.register(**{member: f"{a},{b}"})
    for name in (a, b):
        apps = await server.apps(f"{resource}/{name}")
        assert [one["instanceId"] for app in apps["application"] for one in app["instance"]] == [server.id()]
        assert (apps["versions__delta"], apps["apps__hashcode"]) == ("-1", "UP_1_")
    for path in (
        f"{resource}/{a.upper()}",
        f"{resource}/{a},{b}",
        f"{resource}/{server.id('zzz')}",
        f"{other}/{a}",
    ):
        assert await server.apps(path) == NOBODY


@pytest.mark.wire("M")
@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("UP UP UP DOWN", "DOWN_1_UP_3_"),
        ("OUT_OF_SERVICE OUT_OF_SERVICE STARTING UP UP UP UP", "OUT_OF_SERVICE_2_STARTING_1_UP_4_"),
    ],
)
async def test_case_067_hashes(statuses: str, expected: str, private: None) -> None:
    """The hash counts every status; full and delta replies agree."""
    async with wired(alone()) as wire:
        for n, status in enumerate(statuses.split()):
            await wire.register(instanceId=f"i{n}", status=status, app=f"APP{n % 2}")
        assert (await wire.apps())["apps__hashcode"] == expected
        assert (await wire.apps("apps/delta"))["apps__hashcode"] == expected


@pytest.mark.clock("M")
async def test_case_068_a_delta_without_news(private: None) -> None:
    """Nothing changed for five minutes: an empty delta with the hash of the full registry."""
    async with wired(alone()) as wire:
        await wire.register()
        await wire.register(instanceId="i2", status="DOWN")
        for _ in range(5):
            wire.clock.advance(60)
            for id in ("i1", "i2"):
                assert (await wire.put(f"apps/ORDERS/{id}")).status == 200
        delta = await wire.apps("apps/delta")
        assert (delta["application"], delta["apps__hashcode"]) == ([], "DOWN_1_UP_1_")


@pytest.mark.wire("M")
async def test_case_069_the_version_of_the_full_reply(here: Server) -> None:
    """A full reply has version 1, whatever has changed."""
    assert (await here.apps())["versions__delta"] == "1"
    await here.register(lastDirtyTimestamp="1001")
    assert (await here.apps())["versions__delta"] == "1"


@pytest.mark.wire("plus")
async def test_case_069_the_versions_of_deltas(private: None) -> None:
    """A delta's version is at least 2, the same while the content is, another one after any change."""
    async with wired(alone()) as wire:
        seen: set[int] = set()
        changes = (
            lambda: wire.register(),
            lambda: wire.put("apps/ORDERS/i1/status?value=DOWN"),
            lambda: wire.put("apps/ORDERS/i1/metadata?a=1"),
            lambda: wire.delete("apps/ORDERS/i1"),
        )
        for change in changes:
            await change()
            versions = {int((await wire.apps("apps/delta"))["versions__delta"]) for _ in range(2)}
            versions.add(int((await wire.get("apps/delta", XML)).body.split(b"versions__delta>")[1][:-2]))
            assert len(versions) == 1
            assert min(versions) >= 2
            assert not versions & seen
            seen |= versions
        wire.clock.advance(211)  # the content also changes when entries grow old
        assert int((await wire.apps("apps/delta"))["versions__delta"]) not in seen


@pytest.mark.wire("M")
async def test_case_070_once_in_a_delta(here: Server) -> None:
    """Registered, overridden, cancelled within a minute: once in the delta, in its last state."""
    await here.put(here.path(tail="/status?value=DOWN"))
    await here.delete(here.path())
    (one,) = await here.mine("apps/delta")
    assert one["actionType"] == "DELETED"


@pytest.mark.clock("S")
async def test_case_071_three_minutes(private: None) -> None:
    """A delta entry is there after 179 s and gone after 211 s."""
    async with wired(alone()) as wire:
        await wire.register()
        wire.clock.advance(179)
        assert list(await wire.listed("apps/delta")) == ["i1"]
        wire.clock.advance(32)
        assert await wire.listed("apps/delta") == {}


@pytest.mark.clock("S")
@pytest.mark.timeout(300)
async def test_case_071_three_minutes_in_real_time(slowly: None, server: Server, profile: str) -> None:
    """The same by waiting."""
    loop = asyncio.get_running_loop()
    await server.register(leaseInfo={"renewalIntervalInSecs": 300, "durationInSecs": 900})
    began = loop.time()
    await asyncio.sleep(175)
    if profile != "ref":  # Ref would keep the answer for three minutes more
        assert len(await server.mine("apps/delta")) == 1
    await asyncio.sleep(began + 212 - loop.time())
    assert await server.mine("apps/delta") == []


class Reader:
    """A client that reads everything once and only deltas from then on."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.known: dict[str, str] = {}

    async def full(self) -> None:
        self.known = {id: one["status"] for id, one in (await self.wire.listed()).items()}

    async def delta(self) -> str:
        """Apply a delta, twice, for it may come twice; the hash that was promised."""
        apps = await self.wire.apps("apps/delta")
        for _ in range(2):
            for one in (one for app in apps["application"] for one in app["instance"]):
                if one["actionType"] == "DELETED":
                    self.known.pop(one["instanceId"], None)
                else:
                    self.known[one["instanceId"]] = one["status"]
        return str(apps["apps__hashcode"])


@pytest.mark.clock("M")
async def test_case_072_a_reader_of_deltas_never_disagrees(private: None) -> None:
    """Ten minutes of random churn, a delta every 30 s: the computed hash is the reply's each time."""
    rng = Random(7)
    async with wired(unprotected()) as wire:
        reader, stamp, seen = Reader(wire), 1000, set()
        await wire.register(instanceId="i0")
        await reader.full()
        for second in range(600):
            wire.clock.advance(1)
            await wire.sweep()
            stamp += 1
            path = f"apps/ORDERS/i{rng.randrange(30)}"
            deed = rng.randrange(7)
            if deed == 0:
                await wire.delete(path)
            elif deed == 1:
                await wire.put(f"{path}/status?value={rng.choice(['UP', 'DOWN', 'OUT_OF_SERVICE'])}")
            elif deed == 2:
                await wire.delete(f"{path}/status{rng.choice(['', '?value=UP'])}")
            elif deed == 3:
                await wire.put(path)
            else:
                id, status = path.rpartition("/")[2], rng.choice(["UP", "UP", "DOWN", "STARTING"])
                await wire.register(instanceId=id, status=status, lastDirtyTimestamp=str(stamp))
            if second % 30 == 29:
                promised = await reader.delta()
                assert hash_of(list(reader.known.values())) == promised
                seen.add(promised)
        assert len(seen) > 10
        assert reader.known == {id: one["status"] for id, one in (await wire.listed()).items()}


@pytest.mark.wire("plus")
async def test_case_073_a_read_after_the_write_shows_it(server: Server, profile: str) -> None:
    """Directly after the 204 every read in every form shows it, also where there was a 404 before."""
    if profile == "ref":
        pytest.skip("Ref's answers may be 30 s old, and a 404 is remembered too")
    forms: list[dict[str, str]] = [JSON, XML, {**JSON, "X-Eureka-Accept": "compact"}]
    forms += [{**form, "Accept-Encoding": "gzip"} for form in forms]
    vip, svip = server.id("vip"), server.id("svip")
    paths = ("apps", "apps/delta", f"apps/{server.app}", f"vips/{vip}", f"svips/{svip}")
    for path in paths:
        for form in forms:
            before = await server.get(path, form)
            assert before.status == (404 if path == f"apps/{server.app}" else 200)
    await server.register()
    for path in paths:
        for form in forms:
            answer = await server.get(path, form)
            packed = answer.headers.get("Content-Encoding") == "gzip"
            assert server.id().encode() in (gzip.decompress(answer.body) if packed else answer.body)


@pytest.mark.wire("S")
async def test_case_074_deltas_switched_off(private: None) -> None:
    """A registry without deltas: ``apps/delta`` is 403, ``apps`` is 200."""
    async with wired(alone(delta=False)) as wire:
        await wire.register()
        answer = await wire.get("apps/delta")
        assert (answer.status, answer.body) == (403, b"")
        assert list(await wire.listed()) == ["i1"]


@pytest.mark.clock("S")
async def test_case_075_too_many_fetches(private: None) -> None:
    """The eleventh fetch at once is an empty 503, but not for Eureka's clients; writes are not limited."""
    async with wired(alone(rates=Rates())) as wire:
        await wire.register()
        assert [(await wire.get("apps")).status for _ in range(10)] == [200] * 10
        refused = await wire.get("apps")
        assert (refused.status, refused.body) == (503, b"")
        assert (await wire.get("apps/ORDERS")).status == 503
        assert (await wire.get("apps", {**JSON, "DiscoveryIdentity-Name": "DefaultClient"})).status == 200
        for _ in range(20):
            await wire.register()
            assert (await wire.put("apps/ORDERS/i1")).status == 200
        assert (await wire.delete("apps/ORDERS/i1")).status == 200
        wire.clock.advance(0.1)
        assert [(await wire.get("apps")).status for _ in range(11)] == [200] * 10 + [503]


@pytest.mark.wire("S")
async def test_case_076_status_of_the_server(server: Server, profile: str) -> None:
    """``status`` in JSON has its three parts."""
    answer = await server.get("status")
    if profile == "ref" and answer.status == 500:
        pytest.skip("Ref without a minimum of available peers cannot write it as JSON")
    assert answer.status == 200
    found: dict[str, Any] = answer.json()
    assert {"generalStats", "applicationStats", "instanceInfo"} <= set(found)


@pytest.mark.wire("S")
async def test_case_076_no_scaling_groups(server: Server) -> None:
    """``asg`` off AWS: 400."""
    assert (await server.put("asg/x/status?value=DISABLED")).status == 400
