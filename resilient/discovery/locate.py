"""Where is the registry: argument, environment, this machine, the local network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from ..errors import RegistryUnknown
from ..settings import DEFAULT_REGISTRY, RegistryAddress, Settings

#: How long the usual place on this machine may take to answer, in seconds.
PROBE_WAIT = 0.3
#: How long the local network is listened to, in seconds.
MDNS_WAIT = 3.0

Probe = Callable[[str], Awaitable[bool]]
Find = Callable[[float, str], Awaitable[Sequence[RegistryAddress]]]


class Located(NamedTuple):
    """Addresses of one registry, the best first, and how they were found."""

    addresses: tuple[RegistryAddress, ...]
    source: str


async def locate(settings: Settings, *, probe: Probe | None = None, find: Find | None = None) -> Located:
    """Find the registry in the order in which people expect it; `RegistryUnknown` names what was tried.

    A token goes to a registry that was named, or is on this machine. Anybody on the network may announce
    one: with a token, only one that signed its announcement with it is believed, and gets it.
    """
    if settings.registry:
        return Located(settings.registry, settings.source("registry"))
    tried = [
        "argument registry=: not given",
        "RESILIENT_REGISTRY, EUREKA_CLIENT_SERVICEURL_DEFAULTZONE: not set",
    ]
    if await (probe or answers)(DEFAULT_REGISTRY):
        return Located((RegistryAddress.parse(DEFAULT_REGISTRY, token=settings.token),), "this machine")
    tried.append(f"{DEFAULT_REGISTRY}: no registry answers there")
    if not settings.mdns:
        tried.append("mDNS: switched off")
        raise RegistryUnknown(tried)
    try:
        found = await (find or partial(_find, token=settings.token))(MDNS_WAIT, settings.zone)
    except (OSError, ImportError) as error:
        tried.append(f"mDNS: not possible here ({type(error).__name__})")
        raise RegistryUnknown(tried) from None
    if not found:
        signed = ", signed with our token," if settings.token else ""
        tried.append(f"mDNS: nobody announced itself{signed} within {MDNS_WAIT:g} s")
        raise RegistryUnknown(tried)
    return Located(tuple(found), "mDNS")


async def _find(seconds: float, zone: str, token: str = "") -> Sequence[RegistryAddress]:
    from . import mdns  # zeroconf is loaded only by those who need it

    return await mdns.find(seconds, zone=zone, token=token)


async def answers(url: str, wait: float = PROBE_WAIT) -> bool:
    """Whether a registry answers at a plain ``http`` URL within ``wait`` seconds."""
    parts = urlsplit(url)
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(wait):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            head = f"GET {parts.path}apps/delta HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            writer.write(f"{head}Accept: application/json\r\nConnection: close\r\n\r\n".encode())
            status = (await reader.readline()).split(b" ")
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()
    # One that is not ready yet, or wants a token, is a registry all the same.
    return len(status) > 1 and status[0].startswith(b"HTTP/1.") and status[1] in (b"200", b"401", b"403")


def own_address(url: str) -> str:
    """The address of this machine from which the registry is reached; 127.0.0.1 if there is no way.

    Nothing is sent: a datagram socket only learns its route. A host name may have to be looked up, so
    call it off the loop unless the URL holds a literal address.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        routes = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)
    except OSError:
        return "127.0.0.1"
    for family, kind, proto, _, target in routes:
        try:
            with socket.socket(family, kind, proto) as ear:
                ear.connect(target)
                return str(ear.getsockname()[0]).partition("%")[0]
        except OSError:
            continue
    return "127.0.0.1"
