"""Cases 42 to 50: heartbeats."""

from __future__ import annotations

import pytest
from conformance_kit import JSON, PEER, Server, is_bare, soon, unprotected, wired


async def renewed_at(server: Server, name: str = "i1") -> int:
    return int((await server.read(name))["leaseInfo"]["lastRenewalTimestamp"])


@pytest.mark.wire("M")
@pytest.mark.parametrize("query", ["?status=UP&lastDirtyTimestamp=1000", "?status=UP", ""])
async def test_case_042_heartbeats_renew(here: Server, query: str) -> None:
    """Stamp equal, stamp absent, no query at all: 200, and the lease is renewed."""
    await here.put(here.path())
    before = await renewed_at(here)
    await soon()
    answer = await here.put(here.path() + query)
    assert (answer.status, answer.empty) == (200, True)
    assert await renewed_at(here) > before


@pytest.mark.wire("M")
async def test_case_043_a_newer_stamp_asks_for_a_registration(here: Server, profile: str) -> None:
    """A client whose stamp is newer gets an empty 404."""
    answer = await here.put(here.path(tail="?status=UP&lastDirtyTimestamp=1001"))
    assert (answer.status, is_bare(answer, profile)) == (404, True)


@pytest.mark.wire("S")
async def test_case_043_and_is_renewed_all_the_same(here: Server) -> None:
    """That 404 renews the lease nevertheless."""
    await here.put(here.path())
    before = await renewed_at(here)
    await soon()
    await here.put(here.path(tail="?lastDirtyTimestamp=1001"))
    assert await renewed_at(here) > before


@pytest.mark.wire("M")
async def test_case_044_an_older_stamp_of_a_client(here: Server) -> None:
    """A client whose stamp is older is renewed."""
    assert (await here.put(here.path(tail="?lastDirtyTimestamp=999"))).status == 200


@pytest.mark.wire("M")
async def test_case_045_an_older_stamp_of_a_peer(here: Server) -> None:
    """A peer whose stamp is older gets 409 and the wrapped instance."""
    path = here.path(tail="?lastDirtyTimestamp=999")
    answer = await here.put(path, headers={**PEER, **JSON})
    assert answer.status == 409
    assert answer.json() == {"instance": await here.read()}
    assert answer.json()["instance"]["lastDirtyTimestamp"] == "1000"
    # Only the exact word makes a peer.
    shouted = dict.fromkeys(PEER, "TRUE")
    assert (await here.put(path, headers=shouted)).status == 200


@pytest.mark.wire("S")
async def test_case_046_a_peer_that_knows_of_an_override(here: Server) -> None:
    """A peer whose stamp is newer: 404, and the override it names is kept."""
    query = "?lastDirtyTimestamp=1001&overriddenstatus=OUT_OF_SERVICE"
    assert (await here.put(here.path(tail=query), headers=PEER)).status == 404
    await here.register(lastDirtyTimestamp="1001")
    one = await here.read()
    assert (one["status"], one["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")


@pytest.mark.wire("M")
async def test_case_047_the_status_of_a_heartbeat_is_ignored(here: Server) -> None:
    """``status=DOWN`` on a heartbeat changes nothing."""
    assert (await here.put(here.path(tail="?status=DOWN&lastDirtyTimestamp=1000"))).status == 200
    assert (await here.read())["status"] == "UP"


@pytest.mark.wire("M")
async def test_case_048_unknown_asks_for_a_registration(server: Server, profile: str) -> None:
    """Status ``UNKNOWN``: an empty 404, and the lease is not renewed."""
    await server.register(status="UNKNOWN")
    before = await renewed_at(server)
    await soon()
    answer = await server.put(server.path(tail="?lastDirtyTimestamp=1000"))
    assert (answer.status, is_bare(answer, profile)) == (404, True)
    assert await renewed_at(server) == before


@pytest.mark.clock("M")
async def test_case_048_and_is_not_counted(private: None) -> None:
    """Such a heartbeat is not counted, and the lease runs out."""
    async with wired(unprotected()) as wire:
        await wire.register(status="UNKNOWN")
        await wire.register(instanceId="i2")
        for _ in range(2):
            wire.clock.advance(1)
            await wire.put("apps/ORDERS/i1")
            await wire.put("apps/ORDERS/i2")
            await wire.sweep()
        assert (await wire.get("/resilient/v1/node")).json()["heartbeats_per_minute"] == 1  # the second i2
        wire.clock.advance(89)
        assert (await wire.get("apps/ORDERS/i1")).status == 404
        assert (await wire.get("apps/ORDERS/i2")).status == 200


@pytest.mark.clock("S")
async def test_case_049_an_expired_lease_revives(private: None) -> None:
    """A heartbeat brings back whoever has expired and was not evicted yet."""
    async with wired(unprotected()) as wire:
        await wire.register()
        wire.clock.advance(91)
        assert (await wire.get("apps/ORDERS/i1")).status == 404
        assert (await wire.put("apps/ORDERS/i1")).status == 200
        assert (await wire.get("apps/ORDERS/i1")).status == 200


@pytest.mark.wire("plus")
async def test_case_050_a_stamp_that_is_no_number(here: Server, profile: str) -> None:
    """``lastDirtyTimestamp=abc``: an empty 400."""
    answer = await here.put(here.path(tail="?lastDirtyTimestamp=abc"))
    if profile == "ref":
        assert answer.status == 500
    else:
        assert (answer.status, answer.empty) == (400, True)
