"""The registry announces itself on the local network, and takes it back."""

import asyncio
import socket

import pytest

from registry_server import announcing
from registry_server.announcing import Announcer
from registry_server.app import running
from registry_server.settings import Settings, read_settings
from resilient.discovery import mdns

LOOPBACK = ("127.0.0.1",)


def _multicast() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            group = socket.inet_aton("224.0.0.251") + socket.inet_aton("127.0.0.1")
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            one.sendto(b"", ("224.0.0.251", 5353))
    except OSError:
        return False
    return True


needs_multicast = pytest.mark.skipif(not _multicast(), reason="no multicast on the loopback interface")


async def _until(what, seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.02)


@needs_multicast
async def test_it_is_found_while_it_runs_and_says_goodbye() -> None:
    announcer = Announcer(zone="east", interfaces=LOOPBACK)
    announcer.start("192.0.2.77", 8761)
    await _until(lambda: announcer.announced)
    found = await mdns.find(3, interfaces=LOOPBACK)
    assert [(one.url, one.zone) for one in found] == [("http://192.0.2.77:8761/eureka/", "east")]
    await announcer.stop()
    await announcer.stop()
    assert not announcer.announced
    assert await mdns.find(0.4, interfaces=LOOPBACK) == []


@needs_multicast
async def test_with_a_token_it_is_signed() -> None:
    announcer = Announcer(token="t" * 16, interfaces=LOOPBACK)
    announcer.start("192.0.2.78", 8761)
    await _until(lambda: announcer.announced)
    try:
        (found,) = await mdns.find(3, token="t" * 16, interfaces=LOOPBACK)
        assert found.authorization == "Bearer " + "t" * 16
        assert await mdns.find(0.4, token="u" * 16, interfaces=LOOPBACK) == []
    finally:
        await announcer.stop()


class _Said:
    def __init__(self, log: list[str], url: str) -> None:
        self.log, self.url = log, url
        log.append(f"+{url}")

    async def close(self) -> None:
        self.log.append(f"-{self.url}")


async def test_a_network_that_comes_later_and_a_new_address_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    addresses: list[str] = []

    async def announce(url: str, *args: object, **kwargs: object) -> _Said | None:
        return _Said(log, str(addresses)) if addresses else None

    monkeypatch.setattr(announcing, "LOOK", 0.01)
    monkeypatch.setattr(mdns, "own_addresses", lambda host: list(addresses))
    monkeypatch.setattr(mdns, "announce", announce)
    announcer = Announcer()
    announcer.start("0.0.0.0", 1)
    await asyncio.sleep(0.05)
    assert not announcer.announced
    addresses.append("a")
    await _until(lambda: announcer.announced)
    addresses.append("b")
    await _until(lambda: len(log) == 3)
    await announcer.stop()
    assert log == ["+['a']", "-['a']", "+['a', 'b']", "-['a', 'b']"]


async def test_a_network_that_refuses_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []

    async def announce(url: str, *args: object, **kwargs: object) -> None:
        tries.append(url)
        raise OSError("no such device")

    monkeypatch.setattr(announcing, "LOOK", 0.01)
    monkeypatch.setattr(mdns, "own_addresses", lambda host: ["192.0.2.1"])
    monkeypatch.setattr(mdns, "announce", announce)
    announcer = Announcer()
    announcer.start("192.0.2.1", 7)
    await _until(lambda: len(tries) > 2)
    await announcer.stop()
    assert set(tries) == {"http://192.0.2.1:7/eureka/"}
    assert len([one for one in caplog.records if "announced" in one.message]) == 1


async def test_on_loopback_nobody_is_told() -> None:
    async with running(Settings(port=0)) as registry:
        assert registry.announcer is not None
        assert registry.announcer._task is None


async def test_it_can_be_switched_off() -> None:
    assert read_settings(env={}).mdns
    assert not read_settings(env={"RESILIENT_REGISTRY_MDNS": "off"}).mdns
    async with running(Settings(port=0, host="0.0.0.0", mdns=False)) as registry:
        assert registry.announcer is None
