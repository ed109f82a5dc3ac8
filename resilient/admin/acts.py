"""What can be done to a running process. Each action is one POST, and one line in the log."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from ..background import off_loop
from ..circuits import commands
from ..circuits.circuit import Circuit
from ..circuits.layers import checked
from ..errors import ConfigError
from . import stacks
from .asked import Ask, Lines, Page, Refused, Table, Words
from .desk import Desk
from .levels import LONGEST

_log = logging.getLogger("resilient.admin")

#: Most of a profile: seconds, looks a second.
LONGEST_PROFILE, MOST_HZ = 60, 250
#: Seconds that calls under way may take when the process ends.
GRACE = 30.0


def _audit(ask: Ask, what: str, **told: object) -> None:
    """Who did what. One line, whatever is in it."""
    from ..telemetry.logs import safe  # loads structlog

    who = "token" if ask.caller.has_token else "loopback"
    fields = " ".join(
        f"{name}={safe(str(value))!r}" for name, value in told.items() if value not in ("", None)
    )
    _log.warning("admin: %s by %s from %s %s", what, who, ask.caller.address or "?", fields)


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name, "")
    if not isinstance(value, str):
        raise Refused(400, "bad-text", f"{name} must be a text")
    return value[:200]


# ------------------------------------------------------------------ circuits


def circuit(desk: Desk, ask: Ask) -> Page:
    """``{"action": "open", "ttl": 60, "reason": "..."}``, or ``{"settings": {"timeout": 2}}``, or
    ``{"restore": ["timeout"]}``."""
    try:
        found = desk.runtime.circuits.get(ask.rest)
    except KeyError:
        raise Refused(404, "no-such-circuit", "this process has used no circuit of that name") from None
    payload = ask.payload
    by, reason = _text(payload, "by"), _text(payload, "reason")
    kinds = [name for name in ("action", "settings", "restore") if name in payload]
    if len(kinds) != 1:
        raise Refused(400, "what", "say one of action, settings and restore")
    if kinds == ["action"]:
        _turn(desk, found, ask, by or ask.caller.address, reason)
    else:
        _tune(found, ask, by or ask.caller.address, reason)
    shown = found.snapshot().as_dict()
    said = f"{found.name} is {shown['state']} now"
    return Page(found.name, {"circuit": shown}, [Words(said, "good")])


def _turn(desk: Desk, found: Circuit, ask: Ask, by: str, reason: str) -> None:
    payload, action = ask.payload, _text(ask.payload, "action")
    seconds = payload.get("ttl", payload.get("for"))
    answer = commands.apply(
        desk.runtime.circuits,
        {
            "id": _text(payload, "id") or uuid.uuid4().hex,
            "circuit": found.name,
            "action": action,
            "for": seconds,
            "reason": reason,
            "by": by,
        },
    )
    if answer.startswith("ignored"):
        raise Refused(400, "bad-action", answer.removeprefix("ignored: "))
    _audit(ask, f"{action} circuit", circuit=found.name, ttl=seconds, claims=by, reason=reason)


def _tune(found: Circuit, ask: Ask, by: str, reason: str) -> None:
    payload = ask.payload
    before = {row.name: row.value for row in found.settings()}
    try:
        if "settings" in payload:
            if not isinstance(payload["settings"], dict) or not payload["settings"]:
                raise Refused(400, "bad-settings", "settings must be an object with at least one of them")
            found.tune("operator", by=by, **checked(payload["settings"], "", text=True))
        else:
            names = payload["restore"]
            listed = [] if names is True else names
            if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
                raise Refused(400, "bad-settings", "restore must be a list of names, or true for all")
            if names is True or listed:
                found.untune(*listed, by=by)
    except ConfigError as error:
        raise Refused(400, "bad-settings", str(error)) from None
    after = {row.name: row.value for row in found.settings()}
    changed = "; ".join(
        f"{name}: {before[name]} -> {value}" for name, value in after.items() if value != before[name]
    )
    _audit(ask, "tune circuit", circuit=found.name, changes=changed or "none", claims=by, reason=reason)


# ------------------------------------------------------------------ loggers


def logger(desk: Desk, ask: Ask) -> Page:
    """``{"level": "DEBUG", "ttl": 600}``; a level of ``null`` inherits again."""
    payload = ask.payload
    if "level" not in payload:
        raise Refused(400, "unknown-level", "say level, and ttl in seconds")
    ttl = ask.number("ttl", 0.0, 0.001, LONGEST) if payload.get("ttl") is not None else None
    before, now = desk.levels.set(ask.rest, payload["level"], ttl)
    _audit(
        ask, "set level", logger=ask.rest, before=before, now=now, ttl=ttl, reason=_text(payload, "reason")
    )
    data = {"name": ask.rest, "before": before, "level": now, "ttl": ttl}
    return Page(ask.rest, data, [Words(f"{ask.rest} is at {now} now", "good")])


# ------------------------------------------------------------------ profile


async def profile(desk: Desk, ask: Ask) -> Page:
    """``{"seconds": 10, "hz": 100}``: folded stacks, as flame graph tools read them."""
    seconds = ask.number("seconds", 10.0, 0.01, LONGEST_PROFILE)
    hz = ask.number("hz", 100.0, 1.0, MOST_HZ)
    stop = threading.Event()
    _audit(ask, "take profile", seconds=seconds, hz=hz)
    try:
        counts = await off_loop(desk.profiler.take, seconds, hz, stop.wait)
    except stacks.Busy:
        raise Refused(409, "busy", "a profile is being taken already", {"Retry-After": "10"}) from None
    finally:
        stop.set()  # who hung up wants no more of it
    text = stacks.folded(counts)
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    data = {"seconds": seconds, "hz": hz, "stacks": [{"stack": k, "count": n} for k, n in ordered]}
    rows = [(count, stack.rsplit(";", 1)[-1]) for stack, count in ordered[:50]]
    table = Table(("count>", "innermost"), rows, f"{seconds:g} s at {hz:g} a second")
    return Page("Profile", data, [table, Lines(text, "folded")], text=text, plain=True)


# ------------------------------------------------------------------ the end


def drain(desk: Desk, ask: Ask) -> Page:
    """``{"grace": 30}``: sign out, go on serving until callers have noticed, finish, end."""
    return _end(desk, ask, True)


def shutdown(desk: Desk, ask: Ask) -> Page:
    """``{"grace": 30}``: sign out, finish what is under way, end. While draining: do not wait any longer."""
    return _end(desk, ask, False)


def _end(desk: Desk, ask: Ask, gently: bool) -> Page:
    grace = ask.number("grace", GRACE, 0.0, GRACE)
    if gently and desk.state == "DRAINING":
        raise Refused(409, "draining", "this process is leaving already; /admin/shutdown does not wait")
    _audit(ask, "drain" if gently else "shutdown", grace=grace, reason=_text(ask.payload, "reason"))
    desk.end(gently, grace)
    status = "DRAINING" if gently else "STOPPING"
    return Page(status.title(), {"status": status, "grace_seconds": grace}, [Words(status)], status=202)
