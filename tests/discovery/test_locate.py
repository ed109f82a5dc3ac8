import asyncio
import socket

import pytest
from aiohttp import web
from scripted import Scripted, free_port

from resilient.discovery.locate import answers, locate, own_address
from resilient.errors import RegistryUnknown
from resilient.settings import DEFAULT_REGISTRY, RegistryAddress, Settings


async def yes(url: str) -> bool:
    return True


async def no(url: str) -> bool:
    return False


async def nobody(seconds: float, zone: str) -> list[RegistryAddress]:
    return []


async def somebody(seconds: float, zone: str) -> list[RegistryAddress]:
    return [RegistryAddress.parse("http://10.0.0.1:8761", zone=zone)]


async def test_what_was_said_wins() -> None:
    found = await locate(Settings.load({"RESILIENT_REGISTRY": "http://r"}), probe=yes, find=somebody)
    assert [str(one) for one in found.addresses] == ["http://r/eureka/"]
    assert found.source == "RESILIENT_REGISTRY"
    assert (await locate(Settings.load({}, registry="r"), probe=yes, find=somebody)).source == "argument"


async def test_then_this_machine_then_the_network_and_only_the_first_gets_the_token() -> None:
    settings = Settings.load({}, token="geheim", zone="east")
    found = await locate(settings, probe=yes, find=somebody)
    assert [str(one) for one in found.addresses] == [DEFAULT_REGISTRY]
    assert found.addresses[0].authorization == "Bearer geheim"
    found = await locate(settings, probe=no, find=somebody)
    assert found.source == "mDNS"
    assert found.addresses[0].zone == "east"
    assert found.addresses[0].authorization == ""


async def test_nothing_found_names_everything_that_was_tried() -> None:
    with pytest.raises(RegistryUnknown) as caught:
        await locate(Settings.load({}), probe=no, find=nobody)
    text = str(caught.value)
    for word in ("registry=", "RESILIENT_REGISTRY", "EUREKA_CLIENT", "127.0.0.1:8761", "mDNS", "3 s"):
        assert word in text


async def test_the_network_is_not_asked_where_that_is_off_or_impossible() -> None:
    async def never(seconds: float, zone: str) -> list[RegistryAddress]:
        raise AssertionError

    async def impossible(seconds: float, zone: str) -> list[RegistryAddress]:
        raise OSError("no such device")

    with pytest.raises(RegistryUnknown, match="switched off"):
        await locate(Settings.load({"RESILIENT_MDNS": "0"}), probe=no, find=never)
    with pytest.raises(RegistryUnknown, match="not possible"):
        await locate(Settings.load({}), probe=no, find=impossible)


async def test_a_registry_answers_another_program_does_not(registry: Scripted) -> None:
    assert await answers(registry.url)
    registry.answer = lambda request: web.Response(status=403)
    assert await answers(registry.url)
    registry.answer = lambda request: web.Response(status=404)
    assert not await answers(registry.url)
    assert not await answers(f"http://127.0.0.1:{free_port()}/eureka/")


async def test_silence_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = asyncio.get_running_loop().time()
        assert not await answers(f"http://127.0.0.1:{deaf.getsockname()[1]}/eureka/", wait=0.1)
        assert asyncio.get_running_loop().time() - began < 1


def test_the_own_address_is_the_one_the_registry_is_reached_from() -> None:
    assert own_address("http://127.0.0.1:8761/eureka/") == "127.0.0.1"
    assert own_address("http://no-such-host.invalid/") == "127.0.0.1"
