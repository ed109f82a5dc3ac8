"""The pages that are looked at: what a program reads, and the same for people."""

from __future__ import annotations

import os
import platform
import socket
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote

from ..circuits.snapshot import QUANTILES
from ..model import Instance
from .asked import Ask, Block, Facts, Lines, Link, Page, Refused, Table, Words
from .desk import Desk
from .health import REFUSED
from .masks import masked_pairs
from .words import TONES, curl, more, tone

# ------------------------------------------------------------------ health


def live(desk: Desk, ask: Ask) -> Page:
    """200 as long as the application's loops answer."""
    status = "UP" if desk.live() else "DOWN"
    page = Page("Live", {"status": status}, [Words(status, TONES[status])], text=f"{status}\n", plain=True)
    page.status = 200 if status == "UP" else 503
    return page


def ready(desk: Desk, ask: Ask) -> Page:
    """200 while callers are welcome. The status and nothing else."""
    status = desk.ready()
    return Page(
        "Ready", {"status": status}, [Words(status, TONES.get(status, ""))], _code(status), f"{status}\n"
    )


def health(desk: Desk, ask: Ask) -> Page:
    """All parts, with details for those who may read them."""
    status, components = desk.health()
    data: dict[str, Any] = {"status": status}
    blocks: list[Block] = [Words(status, TONES.get(status, ""))]
    if ask.may_read:
        data["components"] = components
        rows = [
            (name, tone(one["status"]), ", ".join(_details(one))) for name, one in sorted(components.items())
        ]
        blocks.append(Table(("part", "status", "details"), rows))
    return Page("Health", data, blocks, _code(status))


def _details(component: dict[str, Any]) -> Iterable[str]:
    for name, value in component.items():
        if name not in ("status", "loops") and value not in (None, "", []):
            yield f"{name.replace('_', ' ')}: {_plain(value)}"


def _code(status: str) -> int:
    return 503 if status in REFUSED else 200


# ------------------------------------------------------------------ who this is


def ping(desk: Desk, ask: Ask) -> Page:
    """``pong``."""
    return Page("Ping", {"ping": "pong"}, [Words("pong")], text="pong\n", plain=True)


def index(desk: Desk, ask: Ask) -> Page:
    """All pages."""
    from .site import ROUTES

    routes = [route for route in ROUTES if route.about and route.path in ask.served]
    rows = [
        (
            Link(route.path, route.path)
            if "*" not in route.path and route.view
            else route.path.replace("*", "NAME"),
            " ".join([*(["GET"] if route.view else []), *(["POST"] if route.act else [])]),
            route.right.value,
            route.about,
        )
        for route in routes
    ]
    links = {
        route.path: {"methods": ["GET"] * bool(route.view) + ["POST"] * bool(route.act), "about": route.about}
        for route in routes
    }
    return Page(
        f"Admin of {desk.name or 'this process'}",
        {"pages": links},
        [Table(("path", "methods", "for", "what"), rows)],
    )


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def info(desk: Desk, ask: Ask) -> Page:
    """Who this process is. Versions and places for those only who may look behind."""
    settings, member = desk.runtime.settings, desk.member
    instance = member.instance if member is not None else None
    data: dict[str, Any] = {
        "name": desk.name,
        "version": instance.metadata.get("version") if instance is not None else None,
        "state": desk.state,
        "zone": settings.zone,
        "instance_id": instance.id if instance is not None else None,
        "start_time": round(desk.started_at, 3),
        "start_at": _at(desk.started_at),
        "uptime_seconds": round(desk.uptime, 3),
    }
    if ask.may_reveal:
        data |= {
            "python": platform.python_version(),
            "library_version": _version("resilient-sidecar"),
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "threads": threading.active_count(),
        }
    said = {**data, "uptime_seconds": _long(desk.uptime)}
    facts = [
        (name.removesuffix("_seconds").replace("_", " "), value)
        for name, value in said.items()
        if name != "start_time" and value is not None
    ]
    return Page(desk.name or "Info", data, [Facts(facts)])


def _long(seconds: float) -> str:
    """A long time for people."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (left, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{n} {unit}" for n, unit in parts[:2])


def _at(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


# ------------------------------------------------------------------ circuits


def circuits(desk: Desk, ask: Ask) -> Page:
    """All circuits, the open ones first for people."""
    offset, limit = ask.page()
    found = list(desk.runtime.circuits)
    shown: list[dict[str, Any]] = [one.snapshot().as_dict() for one in found[offset : offset + limit]]
    data: dict[str, Any] = {"circuits": shown}
    if len(found) != len(shown):
        data |= {"total": len(found), "offset": offset}
    rows = [
        (
            Link(one["name"], f"/admin/circuits/{quote(one['name'], safe='')}"),
            tone(one["state"]),
            one["target"],
            one["calls"],
            f"{100 * one['error_rate']:.0f} %",
            one["rate"],
            _ms(one["latency"]["p50"]),
            _ms(one["latency"]["p99"]),
            f"{one['in_flight']}/{one['limit'] if one['limit'] is not None else '∞'}",
            one["last_error"],
        )
        for one in sorted(shown, key=lambda one: (one["state"] == "closed", one["name"]))
    ]
    head = (
        "name",
        "state",
        "target",
        "calls>",
        "failed>",
        "per s>",
        "p50>",
        "p99>",
        "in flight>",
        "last error",
    )
    return Page("Circuits", data, [Table(head, rows, more=more(len(found), offset, len(shown)))])


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds else "–"


_UNSAID = ("name", "at", "mode_until", "command")
#: Counts that say something also when they are 0.
_ALWAYS = ("success", "failure", "timeout", "short_circuited")
_SECONDS = ("since", "mode_left", "retry_in", "window", "timeout")


def _said(name: str, value: Any) -> Any:
    """A field of a circuit for people."""
    if name in _SECONDS:
        return f"{value:.0f} s" if value >= 10 else f"{value:g} s"
    if name.endswith("_rate") or name == "error_threshold":
        return f"{100 * value:.0f} %"
    if name == "rate":
        return f"{value:g} a second"
    return tone(value) if name == "state" else value


def circuit(desk: Desk, ask: Ask) -> Page:
    """One circuit with its settings, and how to turn it."""
    try:
        found = desk.runtime.circuits.get(ask.rest)
    except KeyError:
        raise Refused(404, "no-such-circuit", "this process has used no circuit of that name") from None
    shown: dict[str, Any] = found.snapshot().as_dict()
    settings = [row._asdict() for row in found.settings()]
    facts = [
        (name.replace("_", " "), _said(name, value))
        for name, value in shown.items()
        if not isinstance(value, dict | list) and name not in _UNSAID and value not in (None, "")
    ]
    counts = [(name.replace("_", " "), n) for name, n in shown["counts"].items() if n or name in _ALWAYS]
    latency = [(name, _ms(shown["latency"][name])) for name in QUANTILES]
    rows = [(row["name"], row["value"], row["source"], row["variable"]) for row in settings]
    where = f"/admin/circuits/{quote(found.name, safe='')}"
    blocks: list[Block] = [
        Facts(facts),
        Facts(counts, f"last {found.policy.window:g} s"),
        Facts(latency, "how long calls take"),
        *(
            [Facts(list(shown["kinds"].items()), "failures by kind, last 5 to 10 minutes")]
            if shown["kinds"]
            else []
        ),
        Table(("setting", "value", "source", "variable"), rows, "settings"),
        Lines(
            "\n".join(
                curl(ask, where, body)
                for body in (
                    '{"action": "open", "ttl": 60, "reason": "..."}',
                    '{"action": "auto"}',
                    '{"settings": {"timeout": 2}}',
                    '{"restore": true}',
                )
            ),
            "to turn it",
        ),
    ]
    return Page(found.name, {"circuit": shown, "settings": settings}, blocks)


# ------------------------------------------------------------------ balancing


def instances(desk: Desk, ask: Ask) -> Page:
    """What the balancer makes of each instance of the services that were called."""
    wanted = ask.query.get("service", "").lower()
    data = desk.runtime.balancer.report()
    if wanted:
        data = {
            "services": {name: one for name, one in data["services"].items() if name == wanted},
            "more": 0,
        }
    blocks: list[Block] = []
    for name, one in data["services"].items():
        rows = [
            (
                row["id"],
                tone(row["state"]),
                f"{100 * row['share']:.1f} %",
                row["picks"],
                row["in_flight"],
                row["latency_ms"],
                row["zone"],
                row["why"],
            )
            for row in one["instances"]
        ]
        head = ("id", "state", "share>", "picks>", "busy>", "peak ms>", "zone", "why")
        panic = "; panic: all are called" if one["panic"] else ""
        title = f"{name}: {one['usable']} usable, {one['budget']:.0f} retries left{panic}"
        blocks.append(Table(head, rows, title, f"{one['more']} more" if one["more"] else ""))
    if data["more"]:
        blocks.append(Words(f"{data['more']} more services"))
    return Page("Instances", data, blocks or [Words("No service was called yet.")])


def directory(desk: Desk, ask: Ask) -> Page:
    """What the registry told us, a page of it. ``?service=`` picks one."""
    offset, limit = ask.page()
    wanted = ask.query.get("service", "").lower()
    services = desk.runtime.directory.services
    names = [wanted] if wanted in services else [] if wanted else sorted(services)
    every = [(name, one) for name in names for one in services.get(name, ())]
    shown = every[offset : offset + limit]
    listed: dict[str, list[dict[str, Any]]] = {}
    for name, one in shown:
        listed.setdefault(name, []).append(_instance(one))
    report = desk.discovery()
    data = {"services": listed, "total": len(every), "offset": offset, "registry": report}
    head = ("service", "id", "url", "status", "zone", "version")
    rows = [
        (name, one.id, one.url, tone(one.status.value), one.zone, one.metadata.get("version"))
        for name, one in shown
    ]
    facts = [(k.replace("_", " "), _plain(v)) for k, v in (report or {}).items()]
    table = Table(head, rows, more=more(len(every), offset, len(shown)))
    return Page("Directory", data, [Facts(facts, "registry"), table] if facts else [table])


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        said = {name: one for name, one in value.items() if one not in (None, "")}
        return ", ".join(f"{name} {_plain(one)}" for name, one in said.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _instance(one: Instance) -> dict[str, Any]:
    return {
        "id": one.id,
        "url": one.url,
        "status": one.status.value,
        "zone": one.zone,
        "metadata": masked_pairs(one.metadata),
    }
