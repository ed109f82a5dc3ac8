import asyncio
import socket

import ifaddr
import pytest
from zeroconf.asyncio import AsyncServiceInfo

from resilient.clock import ManualClock
from resilient.discovery import mdns

LOOPBACK = ["127.0.0.1"]


def multicast_works() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            group = socket.inet_aton("224.0.0.251") + socket.inet_aton("127.0.0.1")
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            one.sendto(b"", ("224.0.0.251", 5353))
    except OSError:
        return False
    return True


needs_multicast = pytest.mark.skipif(not multicast_works(), reason="no multicast on the loopback interface")


@needs_multicast
async def test_an_announced_registry_is_found_with_its_path_and_zone() -> None:
    told = await mdns.announce("http://192.0.2.7:8761/eureka/v2", "east", interfaces=LOOPBACK)
    assert told is not None
    try:
        found = await mdns.find(3, zone="east", interfaces=LOOPBACK)
    finally:
        await told.close()
        await told.close()
    assert [(one.url, one.zone, one.authorization) for one in found] == [
        ("http://192.0.2.7:8761/eureka/v2/", "east", "")
    ]


@needs_multicast
@pytest.mark.parametrize("token", ["", "t" * 16])
async def test_a_registry_that_listens_on_ipv6_is_found(token: str) -> None:
    clock = ManualClock()
    url = "http://[2001:db8::7]:8761/eureka/"
    told = await mdns.announce(url, token=token, interfaces=LOOPBACK, clock=clock)
    assert told is not None
    try:
        found = await mdns.find(3, token=token, interfaces=LOOPBACK, clock=clock)
    finally:
        await told.close()
    assert [one.url for one in found] == [url]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("2001:db8::7", ["2001:db8::7"]),
        ("0.0.0.0", ["192.0.2.2", "192.0.2.3"]),
        ("::", ["2001:db8::1", "fd00::2"]),
        ("127.0.0.1", []),
        ("::1", []),
        ("fe80::1", []),
        ("fe80::1%eth0", []),
        ("localhost", []),
    ],
)
def test_addresses_that_lead_here_from_everywhere(
    host: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [
        *(("127.0.0.1", 8), ("192.0.2.3", 24), ("192.0.2.2", 24)),
        *((ip, 64) for ip in (("::1", 0, 0), ("fd00::2", 0, 0), ("fe80::9", 0, 2), ("2001:db8::1", 0, 0))),
    ]
    adapter = ifaddr.Adapter("eth0", "eth0", [ifaddr.IP(ip, prefix, "eth0") for ip, prefix in every])
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter])
    assert mdns.own_addresses(host) == told


@needs_multicast
async def test_of_several_the_own_zone_counts_and_then_the_name() -> None:
    told = await asyncio.gather(
        *(
            mdns.announce(f"http://192.0.2.{n}:8761/eureka/", zone, interfaces=LOOPBACK)
            for n, zone in ((3, "east"), (1, "west"), (2, "east"))
        )
    )
    try:
        for zone, last in (("east", 2), ("elsewhere", 1)):
            found = await mdns.find(3, zone=zone, interfaces=LOOPBACK)
            assert [one.url for one in found] == [f"http://192.0.2.{last}:8761/eureka/"]
    finally:
        await asyncio.gather(*(one.close() for one in told if one is not None))


@needs_multicast
async def test_with_a_token_only_signed_announcements_count_and_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mdns, "SIGN_EVERY", 0.05)
    clock = ManualClock()
    ours, other = await asyncio.gather(
        mdns.announce("http://192.0.2.7:1", token="t" * 16, interfaces=LOOPBACK, clock=clock),
        mdns.announce("http://192.0.2.6:1", interfaces=LOOPBACK),
    )
    assert ours is not None
    assert other is not None
    try:
        found = await mdns.find(3, token="t" * 16, interfaces=LOOPBACK, clock=clock)
        assert [one.url for one in found] == ["http://192.0.2.7:1/eureka/"]
        assert found[0].authorization == "Bearer " + "t" * 16
        assert await mdns.find(0.5, token="u" * 16, interfaces=LOOPBACK, clock=clock) == []
        clock.advance(1000)  # it is signed anew all the time
        await asyncio.sleep(0.3)
        assert await mdns.find(3, token="t" * 16, interfaces=LOOPBACK, clock=clock)
    finally:
        await asyncio.gather(ours.close(), other.close())


@pytest.mark.parametrize("field", ["path", "scheme", "zone", "ts", "sig", "address", "port", "name", "age"])
def test_a_signature_covers_all_that_matters(field: str) -> None:
    clock = ManualClock()

    def info(**more: object) -> AsyncServiceInfo:
        about = {"path": "/eureka/", "scheme": "http", "zone": "z", **(more.get("about") or {})}  # type: ignore[dict-item]
        return AsyncServiceInfo(
            mdns.SERVICE_TYPE,
            f"{more.get('name', 'x')}.{mdns.SERVICE_TYPE}",
            port=more.get("port", 8761),
            parsed_addresses=[more.get("address", "192.0.2.1")],
            properties=about,
        )

    signed = mdns._about(mdns._signed(info(), "secret", clock))
    assert mdns._is_signed(info(about=signed), "secret", clock)
    assert not mdns._is_signed(info(about=signed), "other", clock)
    if field in ("address", "port", "name"):
        forged = info(about=signed, **{field: {"address": "192.0.2.9", "port": 1, "name": "y"}[field]})
    else:
        forged = info(about={**signed, field: "7"})
    if field == "age":
        clock.advance(61)
        forged = info(about=signed)
    assert not mdns._is_signed(forged, "secret", clock)


@needs_multicast
async def test_a_search_ends_in_time() -> None:
    began = asyncio.get_running_loop().time()
    assert await mdns.find(0.2, interfaces=LOOPBACK) == []
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:8761", "http://localhost:8761", "http://[::1]:8761"])
async def test_a_registry_on_loopback_is_never_announced(url: str) -> None:
    assert await mdns.announce(url) is None


@pytest.mark.parametrize(
    ("properties", "address", "good"),
    [
        ({"path": "/eureka/", "scheme": "http", "zone": "z"}, "192.0.2.1", True),
        ({}, "192.0.2.1", True),
        ({"scheme": "file"}, "192.0.2.1", False),
        ({"path": "/x?y=/"}, "192.0.2.1", False),
        ({"path": "//evil@host/"}, "192.0.2.1", False),
        ({"path": "/" + "a/" * 50}, "192.0.2.1", False),
        ({"zone": "\x1b[31m"}, "192.0.2.1", True),
        ({"path": "/eureka/"}, "127.0.0.1", False),
        ({}, "2001:db8::1", True),
        ({}, "::1", False),
        ({}, "fe80::1", False),
        ({}, "::ffff:127.0.0.1", False),
    ],
)
def test_what_strangers_say_is_checked(properties: dict[str, str], address: str, good: bool) -> None:
    info = AsyncServiceInfo(
        mdns.SERVICE_TYPE,
        f"x.{mdns.SERVICE_TYPE}",
        port=8761,
        parsed_addresses=[address],
        properties=properties,
    )
    found = mdns._addresses(info)
    host = f"[{address}]" if ":" in address else address
    assert [one.url for one in found] == ([f"http://{host}:8761/eureka/"] if good else [])
    assert all(one.zone.isprintable() for one in found)
