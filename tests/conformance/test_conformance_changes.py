"""Cases 51 to 64: cancel, override, metadata."""

from __future__ import annotations

import pytest
from conformance_kit import PEER, Server, alone, soon, wired

OUT = "/status?value=OUT_OF_SERVICE"


async def statuses(server: Server) -> tuple[str, str]:
    """Status and override."""
    one = await server.read()
    return one["status"], one["overriddenStatus"]


@pytest.mark.wire("M")
async def test_case_051_cancel(here: Server) -> None:
    """Cancelled: 200, then 404 everywhere; the delta shows it once, as ``DELETED``."""
    assert (await here.delete(here.path())).status == 200
    assert (await here.delete(here.path())).status == 404
    assert (await here.get(here.path())).status == 404
    assert (await here.get(f"apps/{here.app}")).status == 404
    assert here.app not in [app["name"] for app in (await here.apps())["application"]]
    assert [one["actionType"] for one in await here.mine("apps/delta")] == ["DELETED"]


@pytest.mark.wire("S")
async def test_case_052_a_cancel_forgets_the_override(here: Server) -> None:
    """After a cancel the override is gone."""
    await here.put(here.path(tail=OUT))
    await here.delete(here.path())
    await here.register(lastDirtyTimestamp="1001")
    assert await statuses(here) == ("UP", "UNKNOWN")


@pytest.mark.wire("plus")
async def test_case_053_a_late_echo_brings_nobody_back(here: Server, profile: str) -> None:
    """After a cancel, a registration with the cancelled stamp is taken but ignored; a newer one counts."""
    await here.delete(here.path())
    await here.register()
    assert (await here.get(here.path())).status == (200 if profile == "ref" else 404)
    await here.register(lastDirtyTimestamp="1001")
    assert (await here.get(here.path())).status == 200


@pytest.mark.wire("M")
async def test_case_054_an_override(here: Server) -> None:
    """An override shows as status and override, and as ``MODIFIED`` in the delta."""
    assert (await here.put(here.path(tail=OUT))).status == 200
    assert await statuses(here) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    (changed,) = await here.mine("apps/delta")
    assert (changed["actionType"], changed["status"]) == ("MODIFIED", "OUT_OF_SERVICE")
    vip = await here.apps(f"vips/{here.id('vip')}")
    assert vip["apps__hashcode"] == "OUT_OF_SERVICE_1_"
    assert "OUT_OF_SERVICE_" in (await here.apps())["apps__hashcode"]


@pytest.mark.wire("M")
async def test_case_055_an_override_outlives_a_registration(here: Server) -> None:
    """Registering again as ``UP`` does not undo an override."""
    await here.put(here.path(tail=OUT))
    await here.register(lastDirtyTimestamp="1001")
    assert await statuses(here) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")


@pytest.mark.wire("M")
@pytest.mark.parametrize("own", ["DOWN", "STARTING"])
async def test_case_056_an_override_hides_no_trouble(here: Server, own: str) -> None:
    """Override ``UP``: the instance's own ``DOWN`` or ``STARTING`` shows."""
    # Setting UP over UP records nothing in Ref, so it is taken out of service first.
    await here.put(here.path(tail=OUT))
    await here.put(here.path(tail="/status?value=UP"))
    await here.register(status=own, lastDirtyTimestamp="1001")
    assert (await here.read())["status"] == own


@pytest.mark.wire("S")
async def test_case_057_out_of_service_belongs_to_operators(here: Server) -> None:
    """An instance cannot take itself out of service by registering again; a peer's word can."""
    await here.register(status="OUT_OF_SERVICE", lastDirtyTimestamp="1001")
    assert (await here.read())["status"] == "UP"
    await here.register(headers=PEER, status="OUT_OF_SERVICE", lastDirtyTimestamp="1002")
    assert (await here.read())["status"] == "OUT_OF_SERVICE"


@pytest.mark.wire("M")
async def test_case_058_down_and_up_again(here: Server) -> None:
    """An instance goes down and up by registering again."""
    for stamp, status in ((1001, "DOWN"), (1002, "UP")):
        await here.register(status=status, lastDirtyTimestamp=str(stamp))
        assert (await here.read())["status"] == status


@pytest.mark.wire("M")
async def test_case_059_an_override_taken_back(here: Server) -> None:
    """Taken back, the status is ``UNKNOWN`` until the instance registers again."""
    await here.put(here.path(tail=OUT))
    assert (await here.delete(here.path(tail="/status"))).status == 200
    assert await statuses(here) == ("UNKNOWN", "UNKNOWN")
    assert (await here.put(here.path())).status == 404
    await here.register(lastDirtyTimestamp="1001")
    assert await statuses(here) == ("UP", "UNKNOWN")
    assert (await here.put(here.path(tail="?lastDirtyTimestamp=1001"))).status == 200


@pytest.mark.wire("M")
async def test_case_060_an_override_taken_back_with_a_status(here: Server) -> None:
    """Taken back with ``value=UP``: ``UP`` at once."""
    await here.put(here.path(tail=OUT))
    assert (await here.delete(here.path(tail="/status?value=UP"))).status == 200
    assert await statuses(here) == ("UP", "UNKNOWN")
    assert (await here.put(here.path())).status == 200


@pytest.mark.wire("S")
async def test_case_061_no_override_to_take_back(here: Server) -> None:
    """Nothing to take back: 200, and nothing changes."""
    before, listed = await here.read(), await here.mine("apps/delta")
    await soon()
    assert (await here.delete(here.path(tail="/status"))).status == 200
    after = await here.read()
    # The lease may be renewed by it.
    before["leaseInfo"].pop("lastRenewalTimestamp")
    after["leaseInfo"].pop("lastRenewalTimestamp")
    assert after == before
    assert [one["actionType"] for one in await here.mine("apps/delta")] == ["ADDED"]
    assert (await here.mine("apps/delta"))[0]["lastUpdatedTimestamp"] == listed[0]["lastUpdatedTimestamp"]


@pytest.mark.wire("plus")
@pytest.mark.parametrize("query", ["", "?value=FOO"])
async def test_case_062_an_override_that_is_no_status(here: Server, query: str, profile: str) -> None:
    """``value`` missing or unknown: an empty 400."""
    answer = await here.put(here.path(tail=f"/status{query}"))
    if profile == "ref":
        assert answer.status == 500
    else:
        assert (answer.status, answer.empty) == (400, True)
    assert await statuses(here) == ("UP", "UNKNOWN")


@pytest.mark.wire("S")
async def test_case_063_an_override_moves_the_stamp_forward_only(here: Server) -> None:
    """The stamp of an override counts only if it is newer."""
    for status, given, kept in (("DOWN", 500, "1000"), ("UP", 2000, "2000")):
        query = f"/status?value={status}&lastDirtyTimestamp={given}"
        assert (await here.put(here.path(tail=query))).status == 200
        one = await here.read()
        assert (one["status"], one["lastDirtyTimestamp"]) == (status, kept)


@pytest.mark.wire("M")
async def test_case_064_metadata(server: Server) -> None:
    """Metadata is added, the rest is kept, and the delta shows it."""
    await server.register(metadata={"own": "x"})
    assert (await server.put(server.path(tail="/metadata?a=1&b=2"))).status == 200
    expected = {"own": "x", "a": "1", "b": "2"}
    assert (await server.read())["metadata"] == expected
    assert [one["metadata"] for one in await server.mine("apps/delta")] == [expected]
    assert [one["metadata"] for one in await server.mine()] == [expected]


@pytest.mark.wire("plus")
async def test_case_064_metadata_outlives_a_registration(server: Server, profile: str) -> None:
    """What was added is still there after the client registers again."""
    await server.register(metadata={"own": "x"})
    await server.put(server.path(tail="/metadata?a=1"))
    await server.register(metadata={"own": "y"}, lastDirtyTimestamp="1001")
    expected = {"own": "y"} if profile == "ref" else {"own": "y", "a": "1"}
    assert (await server.read())["metadata"] == expected


@pytest.mark.wire("Q")
async def test_case_053_strictly(private: None) -> None:
    """In strict mode a late echo is a registration, as in Ref."""
    async with wired(alone(strict=True)) as wire:
        await wire.register()
        await wire.delete("apps/ORDERS/i1")
        await wire.register()
        assert (await wire.one())["status"] == "UP"


@pytest.mark.wire("Q")
async def test_case_056_strictly(private: None) -> None:
    """In strict mode an override equal to the status is not recorded, as in Ref."""
    async with wired(alone(strict=True)) as wire:
        await wire.register()
        assert (await wire.put("apps/ORDERS/i1/status?value=UP")).status == 200
        assert (await wire.one())["overriddenStatus"] == "UNKNOWN"


@pytest.mark.wire("Q")
async def test_case_064_strictly(private: None) -> None:
    """In strict mode metadata set here is gone after the next registration, as in Ref."""
    async with wired(alone(strict=True)) as wire:
        await wire.register(metadata={"own": "x"})
        await wire.put("apps/ORDERS/i1/metadata?a=1")
        assert (await wire.one())["metadata"] == {"own": "x", "a": "1"}
        await wire.register(metadata={"own": "y"}, lastDirtyTimestamp="1001")
        assert (await wire.one())["metadata"] == {"own": "y"}
