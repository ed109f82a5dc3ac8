"""Announce a registry on the local network; find one.

A convenience for trusted networks: whatever is found here was said by anybody who is on it. So addresses
are taken apart and checked like any other foreign text. With a token, announcements are signed with it and
only signed ones are believed; without, found registries get no token, for there is none.

It is told over IPv4 multicast, of IPv4 and IPv6 addresses alike; of link-local IPv6 ones nothing is said, for
they mean another machine on every link.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from zeroconf import IPVersion, ServiceListener, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from ..clock import SYSTEM, Clock
from ..settings import RegistryAddress

SERVICE_TYPE = "_resilient._tcp.local."
#: Once somebody was found, others get this long to be found too, in seconds.
COMPANY_WAIT = 0.3
#: No more announcements than this are looked at.
MOST = 16
#: A signature is believed for so long before and after its time, and made anew so often, in seconds.
FRESH = 60.0
SIGN_EVERY = 30.0

_PATH = re.compile(r"/(?:[A-Za-z0-9._~-]+/){0,8}")


class Announcement:
    """A registry that can be found, until `close`."""

    def __init__(self, net: AsyncZeroconf, info: AsyncServiceInfo, token: str, clock: Clock) -> None:
        self._net: AsyncZeroconf | None = net
        self._info = info
        self._task = asyncio.create_task(self._sign(net, token, clock)) if token else None

    async def _sign(self, net: AsyncZeroconf, token: str, clock: Clock) -> None:
        while True:
            await asyncio.sleep(SIGN_EVERY)
            self._info = _signed(self._info, token, clock)
            await (await net.async_update_service(self._info))

    async def close(self) -> None:
        """Say goodbye to the network."""
        net, self._net = self._net, None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task
        if net is not None:
            try:
                await (await net.async_unregister_service(self._info))
            finally:
                await net.async_close()


async def announce(
    url: str,
    zone: str = "default",
    *,
    token: str = "",
    version: str = "",
    interfaces: Iterable[str] | None = None,
    clock: Clock = SYSTEM,
) -> Announcement | None:
    """Announce the registry at ``url``; ``None`` if nobody else could reach it there (loopback).

    The host must be an address of this machine, or a wildcard for all of them. With a ``token``, the
    announcement is signed with it, and goes on being signed until it is closed. ``version`` is for people.
    """
    parts = urlsplit(RegistryAddress.parse(url).url)
    addresses = own_addresses(parts.hostname or "")
    if not addresses:
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name = f"{addresses[0].replace(':', '-').replace('.', '-')}-{port}"
    info = AsyncServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=port,
        parsed_addresses=addresses,
        properties={
            "path": parts.path,
            "scheme": parts.scheme,
            "zone": zone,
            **({"version": version} if version else {}),
        },
        server=f"resilient-{name}.local.",
    )
    if token:
        info = _signed(info, token, clock)
    net = _net(interfaces)
    try:
        # Its name is signed too, so a name that is taken already is no reason to take another one.
        await (await net.async_register_service(info, allow_name_change=not token))
    except BaseException:
        await net.async_close()
        raise
    return Announcement(net, info, token, clock)


async def find(
    seconds: float = 3.0,
    *,
    zone: str = "",
    token: str = "",
    interfaces: Iterable[str] | None = None,
    clock: Clock = SYSTEM,
) -> list[RegistryAddress]:
    """The addresses of one registry on the local network; listens ``seconds`` at most.

    Of several, one in the own zone, and of these the first by name: all who look find the same one, for
    nobody says that they know each other. With a ``token`` only what was signed with it counts, and gets it.
    """
    net = _net(interfaces)
    try:
        ear = _Ear()
        browser = AsyncServiceBrowser(net.zeroconf, SERVICE_TYPE, listener=ear)
        found: dict[str, list[RegistryAddress]] = {}
        try:
            async with asyncio.timeout(seconds):
                while len(found) < MOST:
                    patience = COMPANY_WAIT if found else None
                    name = await asyncio.wait_for(ear.names.get(), patience)
                    info = AsyncServiceInfo(SERVICE_TYPE, name)
                    if not await info.async_request(net.zeroconf, seconds * 1000):
                        continue
                    if (not token or _is_signed(info, token, clock)) and (its := _addresses(info, token)):
                        found[name] = its
        except TimeoutError:
            pass
        finally:
            await browser.async_cancel()
    finally:
        await net.async_close()
    if not found:
        return []
    return found[min(found, key=lambda name: (not zone or found[name][0].zone != zone, name))]


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


def _signature(info: AsyncServiceInfo, about: Mapping[str, str], token: str) -> str:
    """HMAC-SHA-256 over all that a client goes by: a copy of it from elsewhere leads to the same place."""
    said = [info.name, *sorted(info.parsed_addresses(IPVersion.All)), str(info.port)]
    said += [about.get(key, "") for key in ("path", "scheme", "zone", "ts")]
    return hmac.new(token.encode(), "\n".join(said).encode(), hashlib.sha256).hexdigest()


def _about(info: AsyncServiceInfo) -> dict[str, str]:
    return {_word(key): _word(value) for key, value in info.properties.items()}


def _signed(info: AsyncServiceInfo, token: str, clock: Clock) -> AsyncServiceInfo:
    about = {**_about(info), "ts": str(int(clock.time()))}
    return AsyncServiceInfo(
        SERVICE_TYPE,
        info.name,
        port=info.port,
        addresses=info.addresses_by_version(IPVersion.All),
        properties={**about, "sig": _signature(info, about, token)},
        server=info.server,
    )


def _is_signed(info: AsyncServiceInfo, token: str, clock: Clock) -> bool:
    about = _about(info)
    ts = about.get("ts", "")
    if not (ts.isascii() and ts.isdigit() and len(ts) < 16 and abs(clock.time() - int(ts)) <= FRESH):
        return False
    return hmac.compare_digest(about.get("sig", "").encode(), _signature(info, about, token).encode())


def _addresses(info: AsyncServiceInfo, token: str = "") -> list[RegistryAddress]:
    about = info.properties
    scheme = _word(about.get(b"scheme")) or "http"
    path = _word(about.get(b"path")) or "/eureka/"
    if scheme not in ("http", "https") or not _PATH.fullmatch(path) or not info.port:
        return []
    found = []
    for host in info.parsed_addresses(IPVersion.All)[:4]:
        address = ipaddress.ip_address(host)
        if not _reaches(address):
            continue
        try:
            url = f"{scheme}://{f'[{host}]' if address.version == 6 else host}:{info.port}{path}"
            found.append(RegistryAddress.parse(url, token=token, zone=_word(about.get(b"zone"))))
        except ValueError:
            continue
    return found


def _word(value: bytes | None) -> str:
    text = (value or b"")[:200].decode("ascii", "replace")
    return text if text.isprintable() else ""


def own_addresses(host: str) -> list[str]:
    """Addresses under which others on the network reach ``host``; none for loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []  # a name, `localhost` among them: who knows it needs no announcement
    if not address.is_unspecified:
        return [host] if _reaches(address) else []
    import ifaddr  # comes with zeroconf

    # IPv6 addresses come with their flow and scope. Whoever listens on all of one kind is not on the other.
    told = (one.ip for adapter in ifaddr.get_adapters() for one in adapter.ips)
    every = {ipaddress.ip_address(ip if isinstance(ip, str) else ip[0]) for ip in told}
    return sorted(str(one) for one in every if one.version == address.version and _reaches(one))


def _reaches(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it leads to the same machine from everywhere on the network."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_link_local or address.scope_id or address.ipv4_mapped
    ):
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)
