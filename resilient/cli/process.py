"""What one process's balancer makes of a service: ``resilient instances NAME --process URL``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import aiohttp

from ..discovery.client import why
from ..errors import ConfigError, ResilientError, WireError
from ..eureka.json import parse
from ..eureka.limits import READING
from ..settings import RegistryAddress, Settings
from .estate import Row, meaning, number, rows, table_of, text

if TYPE_CHECKING:
    from .screen import Screen, _Look

_LARGEST = 16 * 1024 * 1024  # bytes; a report holds a thousand rows at most
_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=2.0)

_STATES: dict[str, _Look] = {
    "healthy": ("●", "*", "healthy", "green"),
    "warming": ("◐", "~", "warming up", "yellow"),
    "probation": ("◐", "~", "on probation", "yellow"),
    "draining": ("○", "o", "draining", "yellow"),
    "ejected": ("✕", "x", "ejected", "red"),
}


async def ask(url: str, settings: Settings) -> Row:
    """The report of the process at ``url``, as `~resilient.balancing.views` describes it.

    The token is sent if there is one, that of the admin pages before the registry's: whoever names the
    process vouches for it.
    """
    try:
        typed = settings.source("token") == "argument"
        token = settings.token if typed else settings.admin_token or settings.token
        address = RegistryAddress.parse(url, token=token)
    except ValueError as error:
        raise ConfigError(f"--process {error}; write --process http://127.0.0.1:8080") from None
    where = f"{address.root}/admin/instances"
    headers = {"Accept": "application/json", "User-Agent": "resilient"}
    if address.authorization:
        headers["Authorization"] = address.authorization
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False) as http,
            http.get(where, headers=headers, allow_redirects=False) as response,
        ):
            status, body = response.status, b""
            async for part in response.content.iter_any():
                body += part
                if len(body) > _LARGEST:
                    raise WireError(f"the answer is larger than {_LARGEST} bytes")
        report = parse(body, READING) if status == 200 else None
    except (aiohttp.ClientError, OSError, TimeoutError, WireError) as error:
        raise ResilientError(f"no report from {where}: {why(error)}") from None
    if status in (401, 403):
        given = bool(address.authorization)
        says = meaning(401 if given else status, given=given, source=settings.source("token"))
        raise ResilientError(f"{where} refuses with status {status}: {says}")
    if not isinstance(report, dict) or not isinstance(report.get("services"), dict):
        raise ResilientError(f"no report at {where} (status {status}): is this a process with resilient?")
    return report


def show(screen: Screen, name: str, service: Row) -> None:
    """A table of what the balancer sees and why."""
    from rich.text import Text

    from .screen import millis, safe, table

    copies = rows(service.get("instances"))
    zoned = {text(one, "zone") for one in copies} - {"default", ""}
    head = ["ID", "STATE", "SHARE>", "PICKS>", "BUSY>", "PEAK>", "SCORE>", *(["ZONE"] if zoned else [])]
    grid = table(*head, "WHY")
    now = time.time()
    for one in sorted(copies, key=lambda one: text(one, "id")):
        latency, score = number(one, "latency_ms"), number(one, "score")
        cells = [
            Text(safe(text(one, "id"))),
            screen.state(_STATES, text(one, "state"), _left(one, now)),
            Text(f"{100 * (number(one, 'share') or 0.0):.1f} %"),
            Text(f"{number(one, 'picks') or 0:.0f}"),
            Text(f"{number(one, 'in_flight') or 0:.0f}"),
            Text(millis(latency / 1000 if latency is not None else None)),
            Text(f"{score:.2f}" if score is not None else ""),
        ]
        if zoned:
            cells.append(Text(safe(text(one, "zone"))))
        reasons = [safe(text(one, "why"), 80)]
        weight = number(one, "weight")
        if weight is not None and weight != 1.0:
            reasons.append(f"weight {weight:.2g}")
        grid.add_row(*cells, Text(", ".join(filter(None, reasons)), "dim"))
    more = number(service, "more") or 0
    summary = f"{safe(name)}: {len(copies)} {'copy' if len(copies) == 1 else 'copies'}"
    if more:
        summary += f" of {len(copies) + more:.0f}"
    if service.get("panic") is True:
        summary += f"{screen.dot}panic: too few are well, so all of them are called"
    retries, left = number(service, "retries"), number(service, "budget")
    if retries is not None and left is not None:
        summary += f"{screen.dot}{retries:.0f} retries, {left:.0f} more possible now"
    screen.show(grid, "", Text(summary, "dim"))


def service_of(report: Row, name: str) -> Row | None:
    """One service of a report, ``None`` if that process has not called it."""
    services = table_of(report, "services")
    return table_of(services, name) if name in services else None


def _left(one: Row, now: float) -> str:
    from .screen import ago

    until = number(one, "until")
    return f"{ago(until - now)} left" if until is not None and until > now else ""
