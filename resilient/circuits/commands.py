"""Commands from afar: somebody at a screen opens, closes or resets a circuit of this process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..events import OperatorActed

if TYPE_CHECKING:
    from .book import CircuitBook

ACTIONS = ("open", "close", "auto", "reset")
#: What :func:`apply` answers when the circuit does as it was told, and when it did so before.
APPLIED, REPEATED = "applied", "applied before"
#: Characters of a text that are kept: it came over a wire, and goes into logs and onto pages.
_LONGEST = 200
#: Seconds; whoever wants it longer wants it until told otherwise.
_LONGEST_HOLD = 366 * 86_400.0


def apply(book: CircuitBook, payload: Mapping[str, object]) -> str:
    """Do what a command says, once: a command whose ``id`` was obeyed before changes nothing.

    ``payload`` has ``id``, ``circuit``, ``action`` and, where they make sense, ``for`` (seconds; ``None``:
    until told otherwise), ``reason`` and ``by``. ``open`` and ``close`` hold the circuit in that state,
    ``auto`` ends a hold, ``reset`` closes it with a clean window and ends any hold; each of them answers
    :data:`APPLIED`. What makes no sense here is left alone, and the answer begins with ``ignored:``. Never
    raises; publishes :class:`OperatorActed`.
    """
    command, name, action = (_text(payload, key) for key in ("id", "circuit", "action"))
    seconds = payload.get("for")
    if not command:
        return "ignored: a command needs an id"
    if action not in ACTIONS:
        return f"ignored: no action {action!r}; known: {', '.join(ACTIONS)}"
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_HOLD
    ):
        return f"ignored: 'for' must be seconds above 0 and below {_LONGEST_HOLD:g}, or none"
    if command in book.obeyed:
        return REPEATED
    try:
        circuit = book.get(str(payload.get("circuit")))
    except KeyError:
        return f"ignored: no circuit {name!r} in this process"
    book.obeyed.append(command)
    reason, by = _text(payload, "reason"), _text(payload, "by")
    hold = math.inf if seconds is None else float(seconds)
    # One section, so that nobody sees the turn without the command that made it.
    with circuit.section:
        circuit.obeyed(command)
        if action == "open":
            circuit.open(hold, reason=reason, by=by)
        elif action == "close":
            circuit.close(hold, reason=reason, by=by)
        elif action == "reset":
            circuit.close(reason=reason, by=by)
        else:
            circuit.auto(reason=reason, by=by)
        until = None
        if action in ("open", "close") and seconds is not None:
            until = circuit.clock.time() + hold
        event = OperatorActed(
            at=circuit.clock.time(),
            circuit=circuit.name,
            action=action,
            by=by,
            reason=reason,
            until=until,
            command=command,
        )
        circuit.section.later(book.publish, event)
    return APPLIED


def _text(payload: Mapping[str, object], key: str) -> str:
    value = payload.get(key)
    if not isinstance(value, str):
        return ""
    return "".join(one if one.isprintable() else " " for one in value[:_LONGEST]).strip()
