"""What people asked circuits to do: checked, sent, remembered, and confirmed by the processes. Pure."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from resilient.clock import Clock
from resilient.errors import WireError
from resilient.eureka.limits import check_id, check_name

from .hub import Feed
from .reader import event

#: Actions that are remembered.
KEPT = 200
#: Seconds after which an action nobody has confirmed counts as lost.
PATIENCE = 30.0
#: The longest time a circuit can be held open or closed, in seconds: 30 days.
LONGEST = 2_592_000.0
ACTIONS: Final = ("open", "close", "auto", "reset")
_TIMED: Final = ("open", "close")
_FIELDS: Final = frozenset(
    {"service", "instance", "worker", "circuit", "action", "for", "reason", "by"},
)
_MOST_TEXT = 256
_MOST_REASON = 300
_WORDS = {
    "open": "hold open",
    "close": "hold closed",
    "auto": "let it decide by itself",
    "reset": "reset",
}


@dataclass(slots=True, kw_only=True)
class Command:
    """One action. ``instance`` "" means every instance of the service, ``seconds`` None without an end.

    ``at`` is wall time, ``sent`` monotonic, in seconds. ``number`` is that of the last change before it.
    """

    id: str
    service: str
    instance: str
    worker: str
    circuit: str
    action: str
    seconds: float | None
    reason: str
    by: str
    at: float
    sent: float
    number: int = 0
    delivered: int = 0
    confirmed: set[tuple[str, str]] = field(default_factory=set)

    def frame(self, instance: str) -> bytes:
        """The event that asks one instance of the service to do it."""
        return event(
            "command",
            {
                "id": self.id,
                "instance": f"{self.service.upper()}/{instance}",
                "worker": self.worker,
                "circuit": self.circuit,
                "action": self.action,
                "for": self.seconds,
                "reason": self.reason,
                "by": self.by,
            },
        )


class Actions:
    """The last actions. ``new_id`` names one."""

    def __init__(self, clock: Clock, new_id: Callable[[], str] = lambda: secrets.token_hex(6)) -> None:
        self._clock = clock
        self._new_id = new_id
        self._kept: deque[Command] = deque(maxlen=KEPT)
        self._by_id: dict[str, Command] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def newest(self) -> str:
        """The id of the last one; "" for none."""
        return self._kept[-1].id if self._kept else ""

    def read(self, body: object) -> Command:
        """The command in a request's body. WireError names the field that makes no sense, and the cure."""
        if not isinstance(body, Mapping):
            raise WireError("the body must be an object")
        if not _FIELDS.issuperset(body):
            raise WireError(f"the body may have the fields {', '.join(sorted(_FIELDS))} and no others")
        service = check_name(_text(body, "service", required=True), "service").lower()
        instance = _text(body, "instance")
        worker = _text(body, "worker")
        if worker and not instance:
            raise WireError("worker: name the instance, too")
        action = _text(body, "action", required=True)
        if action not in ACTIONS:
            raise WireError(f"action: one of {', '.join(ACTIONS)} was expected")
        return Command(
            id=self._new_id(),
            service=service,
            instance=check_id(instance) if instance else "",
            worker=worker,
            circuit=_text(body, "circuit", required=True),
            action=action,
            seconds=_seconds(body, action),
            reason=_text(body, "reason", most=_MOST_REASON),
            by=_text(body, "by"),
            at=self._clock.time(),
            sent=self._clock.monotonic(),
        )

    def send(self, command: Command, feed: Feed) -> None:
        """Tell it to the readers it is for, and remember it."""
        command.number = feed.ring.head
        for reader in feed.addressed(command.service, command.instance, command.worker):
            if reader.wish.instance is not None and reader.say(command.frame(reader.wish.instance[1])):
                command.delivered += 1
        self.keep(command)

    def keep(self, command: Command) -> None:
        """It was sent; the oldest one is forgotten for it."""
        if len(self._kept) == KEPT:
            del self._by_id[self._kept[0].id]
        self._kept.append(command)
        self._by_id[command.id] = command

    def confirm(self, id: str, service: str, instance: str, worker: str = "") -> None:
        """A process says that this was the last command it applied to a circuit."""
        command = self._by_id.get(id)
        if command is None or command.service != service or command.instance not in ("", instance):
            return
        if len(command.confirmed) < max(1, command.delivered):
            command.confirmed.add((instance, worker))

    def state(self, command: Command) -> str:
        """``sent``, then ``confirmed`` by everybody who got it, or after a while ``unconfirmed``."""
        if len(command.confirmed) >= max(1, command.delivered):
            return "confirmed"
        return "sent" if self._clock.monotonic() - command.sent < PATIENCE else "unconfirmed"

    def rows(self) -> list[dict[str, object]]:
        """All that are remembered, newest first. Moments are seconds since the epoch."""
        return [
            {
                "id": one.id,
                "at": round(one.at, 3),
                "service": one.service,
                "instance": one.instance,
                "worker": one.worker,
                "circuit": one.circuit,
                "action": one.action,
                "for": one.seconds,
                "until": until_of(one),
                "reason": one.reason,
                "by": one.by,
                "delivered": one.delivered,
                "confirmed": len(one.confirmed),
                "state": self.state(one),
            }
            for one in reversed(self._kept)
        ]

    def changes(self) -> list[dict[str, object]]:
        """The same as rows of the list of changes."""
        return [
            {
                "number": one.number,
                "at": round(one.at, 3),
                "action": "CIRCUIT",
                "cause": "circuit action",
                "service": one.service,
                "instance": one.instance,
                "status": "",
                "text": _sentence(one),
                "command": one.id,
                "by": one.by,
                "reason": one.reason,
                "until": until_of(one),
            }
            for one in reversed(self._kept)
        ]


def until_of(command: Command) -> float | None:
    """When it ends, in seconds since the epoch; None if it does not by itself."""
    return None if command.seconds is None else round(command.at + command.seconds, 3)


def _sentence(command: Command) -> str:
    text = f"circuit {command.circuit}: {_WORDS[command.action]}"
    if command.seconds is not None:
        text += f" for {command.seconds:g} s"
    if command.by:
        text += f", asked by {command.by}"
    return f"{text}: {command.reason}" if command.reason else text


def _text(
    body: Mapping[object, object], field: str, *, required: bool = False, most: int = _MOST_TEXT
) -> str:
    value = body.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise WireError(f"{field}: a text was expected")
    if len(value) > most:
        raise WireError(f"{field}: at most {most} characters are taken")
    if not value.isprintable():
        raise WireError(f"{field}: only printable characters are taken, in one line")
    return value


def _seconds(body: Mapping[object, object], action: str) -> float | None:
    value = body.get("for")
    if value is None:
        return None
    if action not in _TIMED:
        raise WireError(f"for: {action} has no duration, leave it out")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST:
        raise WireError(f"for: a number of seconds above 0 and up to {LONGEST:.0f} was expected")
    return float(value)
