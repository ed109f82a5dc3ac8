"""Who this process is: its address, its port, its instance as the registry will list it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .errors import ConfigError
from .model import Instance
from .settings import Settings

_LOOPBACK = "127.0.0.1"
_WIDE = ("0.0.0.0", "::", "*")


def address_towards(urls: Iterable[str]) -> str:
    """The local address from which a registry is reached: what the kernel's routes say, nothing is sent.

    Loopback if the registry is here, or if no route is known.
    """
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with contextlib.suppress(OSError):
            for family, kind, proto, _, target in socket.getaddrinfo(
                parts.hostname, port, type=socket.SOCK_DGRAM
            ):
                with contextlib.suppress(OSError), socket.socket(family, kind, proto) as probe:
                    probe.connect(target)
                    return str(probe.getsockname()[0])
    return _LOOPBACK


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches that address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening_ports(ours: Iterable[int] = ()) -> list[tuple[str, int]]:
    """The TCP sockets this process listens on, as (address, port); those in ``ours`` left out. Linux."""
    left_out = set(ours)
    found: dict[int, str] = {}
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return []
    for descriptor in descriptors:
        try:
            copy = os.dup(int(descriptor))
        except OSError:
            continue
        try:
            sock = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            continue
        with sock, contextlib.suppress(OSError):
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                address, port = sock.getsockname()[:2]
                if port not in left_out:
                    found[port] = address
    return [(address, port) for port, address in found.items()]


def the_port(service: str, ours: Iterable[int] = ()) -> int | None:
    """The one port this process listens on; ``None`` while it listens on none yet.

    Raises ConfigError if there are several, since nobody can guess which one is the service's.
    """
    ports = sorted(port for _, port in listening_ports(ours))
    if len(ports) > 1:
        listed = ", ".join(map(str, ports))
        raise ConfigError(f"{service}: this process listens on several ports ({listed}); say which: port=")
    return ports[0] if ports else None


def me(
    service: str,
    *,
    host: str,
    port: int,
    settings: Settings,
    secure: bool = False,
    metadata: Mapping[str, str] | None = None,
    health_path: str = "/health",
    extra: Mapping[str, Any] | None = None,
) -> Instance:
    """This process as an instance: one id per address, ``host:service:port``, in Eureka's usual form."""
    name = service.strip().lower()
    if not name or any(letter.isspace() or letter in "/?#" for letter in name):
        raise ConfigError(f"a service needs a name without blanks and slashes, got {service!r}")
    shown = f"[{host}]" if ":" in host else host
    base = f"{'https' if secure else 'http'}://{shown}:{port}"
    known = {"zone": settings.zone} if settings.zone != "default" else {}
    return Instance(
        service=name,
        id=f"{host}:{name}:{port}",
        host=host,
        port=port,
        address=host,
        secure=secure,
        zone=settings.zone,
        metadata={**known, **settings.metadata, **(metadata or {})},
        renew_every=settings.renew_every,
        expire_after=settings.expire_after,
        extra={
            "homePageUrl": f"{base}/",
            "healthCheckUrl": f"{base}{health_path}",
            "statusPageUrl": f"{base}/admin/info",
            "vipAddress": name,
            "secureVipAddress": name,
            **(extra or {}),
        },
    )


def bind_and_show(host: str | None, settings: Settings, urls: Iterable[str]) -> tuple[str, str]:
    """Where to listen and what to tell the registry: (bind address, advertised host).

    Without a wish: the address from which the registry is reached, so that a service is exposed to
    nobody but those who can reach it that way. With a wide address: listen there, advertise the route's.
    """
    wished = host or settings.host
    if wished and wished not in _WIDE:
        return wished, wished
    route = address_towards(urls)
    return ("0.0.0.0" if wished == "*" else wished or route), route
