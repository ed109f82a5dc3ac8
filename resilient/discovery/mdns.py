"""Announce a registry on the local network; find one.

A convenience for trusted networks: whatever is found here was said by anybody who is on it. So found
registries get no token, and addresses are taken apart and checked like any other foreign text.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from zeroconf import IPVersion, ServiceListener, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from ..settings import RegistryAddress

SERVICE_TYPE = "_resilient._tcp.local."
#: Once somebody was found, others get this long to be found too, in seconds.
COMPANY_WAIT = 0.3
#: No more announcements than this are looked at.
MOST = 16

_PATH = re.compile(r"/(?:[A-Za-z0-9._~-]+/){0,8}")


class Announcement:
    """A registry that can be found, until `close`."""

    def __init__(self, net: AsyncZeroconf, info: AsyncServiceInfo) -> None:
        self._net: AsyncZeroconf | None = net
        self._info = info

    async def close(self) -> None:
        """Say goodbye to the network."""
        net, self._net = self._net, None
        if net is not None:
            try:
                await (await net.async_unregister_service(self._info))
            finally:
                await net.async_close()


async def announce(
    url: str, zone: str = "default", *, interfaces: Iterable[str] | None = None
) -> Announcement | None:
    """Announce the registry at ``url``; ``None`` if nobody else could reach it there (loopback).

    The host must be an address of this machine, or a wildcard for all of them.
    """
    parts = urlsplit(RegistryAddress.parse(url).url)
    addresses = _own_addresses(parts.hostname or "")
    if not addresses:
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name = f"{addresses[0].replace(':', '-').replace('.', '-')}-{port}"
    info = AsyncServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=port,
        parsed_addresses=addresses,
        properties={"path": parts.path, "scheme": parts.scheme, "zone": zone},
        server=f"resilient-{name}.local.",
    )
    net = _net(interfaces)
    try:
        await (await net.async_register_service(info, allow_name_change=True))
    except BaseException:
        await net.async_close()
        raise
    return Announcement(net, info)


async def find(
    seconds: float = 3.0, *, zone: str = "", interfaces: Iterable[str] | None = None
) -> list[RegistryAddress]:
    """Registries on the local network, the own zone first; listens ``seconds`` at most."""
    net = _net(interfaces)
    try:
        ear = _Ear()
        browser = AsyncServiceBrowser(net.zeroconf, SERVICE_TYPE, listener=ear)
        found: dict[str, RegistryAddress] = {}
        try:
            async with asyncio.timeout(seconds):
                while len(found) < MOST:
                    patience = COMPANY_WAIT if found else None
                    name = await asyncio.wait_for(ear.names.get(), patience)
                    info = AsyncServiceInfo(SERVICE_TYPE, name)
                    if await info.async_request(net.zeroconf, seconds * 1000):
                        for address in _addresses(info):
                            found.setdefault(address.url, address)
        except TimeoutError:
            pass
        finally:
            await browser.async_cancel()
    finally:
        await net.async_close()
    return sorted(found.values(), key=lambda one: (not zone or one.zone != zone, one.url))


class _Ear(ServiceListener):
    def __init__(self) -> None:
        self.names: asyncio.Queue[str] = asyncio.Queue(MOST)

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        if not self.names.full():
            self.names.put_nowait(name)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody we know says something new: not our concern."""

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Somebody left: whoever calls there will notice."""


def _net(interfaces: Iterable[str] | None) -> AsyncZeroconf:
    if interfaces is None:
        return AsyncZeroconf(ip_version=IPVersion.V4Only)
    return AsyncZeroconf(interfaces=list(interfaces), ip_version=IPVersion.V4Only)


def _addresses(info: AsyncServiceInfo) -> list[RegistryAddress]:
    about = info.properties
    scheme = _word(about.get(b"scheme")) or "http"
    path = _word(about.get(b"path")) or "/eureka/"
    if scheme not in ("http", "https") or not _PATH.fullmatch(path) or not info.port:
        return []
    found = []
    for host in info.parsed_addresses(IPVersion.V4Only)[:4]:
        if ipaddress.ip_address(host).is_loopback:
            continue
        try:
            url = f"{scheme}://{host}:{info.port}{path}"
            found.append(RegistryAddress.parse(url, zone=_word(about.get(b"zone"))))
        except ValueError:
            continue
    return found


def _word(value: bytes | None) -> str:
    text = (value or b"")[:200].decode("ascii", "replace")
    return text if text.isprintable() else ""


def _own_addresses(host: str) -> list[str]:
    """IPv4 addresses under which others on the network reach ``host``; none for loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []  # a name, `localhost` among them: who knows it needs no announcement
    if address.is_loopback or address.version != 4:
        return []
    if not address.is_unspecified:
        return [host]
    import ifaddr  # comes with zeroconf

    every = [str(one.ip) for adapter in ifaddr.get_adapters() for one in adapter.ips if one.is_IPv4]
    return [one for one in every if not ipaddress.ip_address(one).is_loopback]
