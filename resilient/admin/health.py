"""Alive, ready, well: three questions, and what each of them looks at (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

#: From the worst to the best.
ORDER = ("DOWN", "OUT_OF_SERVICE", "DEGRADED", "UNKNOWN", "UP")
#: Those that are answered with 503.
REFUSED = frozenset({"DOWN", "OUT_OF_SERVICE", "STARTING", "DRAINING"})
#: What a state of the service means for the whole: one that starts may be asked, one that leaves may not.
STATES = {"STARTING": "UNKNOWN", "DRAINING": "OUT_OF_SERVICE"}
#: Seconds that a start waits for its registry before it serves without one.
START_WAIT = 10.0
#: Names of open circuits that a component lists.
_LISTED = 20

Component = dict[str, Any]


def worst(statuses: Iterable[str]) -> str:
    """What all of them come to; ``UP`` if there are none."""
    found = [ORDER.index(one) if one in ORDER else ORDER.index("UNKNOWN") for one in statuses]
    return ORDER[min(found)] if found else "UP"


class Link(NamedTuple):
    """What is between this process and its registry. ``waited`` is seconds since the start."""

    wanted: bool = False
    connected: bool = False
    answered: bool = False
    registers: bool = False
    registered: bool = False
    age: float | None = None
    waited: float = 0.0
    error: str = ""


def registry(link: Link) -> Component:
    """The registry's part: at most DEGRADED, for what is known is still served."""
    found: Component = {
        "status": "UP" if link.connected and (link.registered or not link.registers) else "DEGRADED",
        "connected": link.connected,
        "registered": link.registered if link.registers else None,
        "age_seconds": None if link.age is None else round(link.age, 3),
    }
    if link.error and not link.connected:
        found["detail"] = link.error[:200]
    return found


def circuits(open_ones: Collection[str]) -> Component:
    """The circuits' part: an open one protects us, so it is at most DEGRADED."""
    names = sorted(open_ones)
    found: Component = {"status": "DEGRADED" if names else "UP", "open": names[:_LISTED]}
    if len(names) > _LISTED:
        found["more"] = len(names) - _LISTED
    return found


def event_loops(views: Iterable[Mapping[str, Any]], stuck: Collection[str]) -> Component:
    """The loops' part: DOWN if one of them is stuck."""
    listed = list(views)
    return {
        "status": "DOWN" if stuck else "UP",
        "lag_seconds": max((one["lag_seconds"] for one in listed), default=0.0),
        "loops": listed,
    }


def ready(
    state: str,
    link: Link,
    checks: Iterable[str] = (),
    *,
    open_ones: Collection[str] = (),
    critical: Collection[str] = (),
    require_registry: bool = False,
) -> str:
    """``UP``, or why callers had better go elsewhere: STARTING, DRAINING or DOWN.

    A start waits for its registry, ten seconds at most unless ``require_registry``; once up, a registry that
    goes away changes nothing. An open circuit counts only if it is ``critical``.
    """
    if state != "UP":
        return state
    if link.wanted and not (link.answered and (link.registered or not link.registers)):
        if require_registry and not link.answered:
            return "STARTING"
        if link.waited < START_WAIT:
            return "STARTING"
    if "DOWN" in checks or any(name in critical for name in open_ones):
        return "DOWN"
    return "UP"
