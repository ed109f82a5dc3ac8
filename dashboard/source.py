"""Where the pages' numbers come from, and what they may ask to be done. Every read answers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

Row = dict[str, Any]
#: An instance in short: id, address, status, whether heartbeats are missing, metadata.
Entry = tuple[str, str, str, bool, Mapping[str, str]]
#: What a source tells of at once: ``change`` (something happened), ``state`` (a circuit turned) or
#: ``action`` (the outcome of what a person did), each with its fields.
Heard = Callable[[str, Mapping[str, Any]], None]


class Source(Protocol):
    """A registry as the pages see it. Ages and durations are seconds, moments seconds since the epoch."""

    @property
    def name(self) -> str:
        """What this registry is called, for people."""
        ...

    def summaries(self) -> Iterable[Mapping[str, Any]]:
        """One row for each service: ``name``; ``total`` and how many are ``up``, ``late``, ``starting``,
        ``out``, ``down`` and ``unknown``; ``zones`` with how many are up there, ``versions`` with how many
        there are; ``renew`` and ``ttl``; ``oldest``, the age of the oldest heartbeat; ``want``, heartbeats
        due per minute. It may be left off in the middle and taken up again a moment later."""
        ...

    def service(self, name: str) -> Mapping[str, Any] | None:
        """``name`` and ``instances``; None if nobody of that name is there."""
        ...

    def names(self) -> Sequence[str]:
        """All services, in alphabetical order."""
        ...

    def entries(self, name: str) -> Iterable[Entry]:
        """The instances of a service in short. It may be left off and taken up again a moment later."""
        ...

    def beats(self, name: str) -> list[tuple[str, float]]:
        """The age of the last heartbeat of each instance of a service, by id."""
        ...

    def circuits(self) -> Iterable[Mapping[str, Any]]:
        """Every circuit of every caller, summed over processes. As :meth:`summaries`, it may be left off."""
        ...

    def circuit(self, caller: str, name: str) -> Mapping[str, Any] | None:
        """What more is known of one: ``hosts``, ``settings``, ``why``, ``turns``, ``errors``."""
        ...

    def history(self, caller: str, name: str, seconds: int) -> Mapping[str, Any] | None:
        """``step`` and, oldest first and None where nothing is known, ``rate``, ``fail``, ``refused``,
        ``timeout`` per second; and in steps of ``slow_step``: ``p50``, ``p90``, ``p99`` (s), ``states``."""
        ...

    async def rates(self, seconds: int) -> Mapping[str, Sequence[float | None]]:
        """Calls per second towards each service, oldest first and None where nothing is known: one point each
        second, the last ``seconds`` at most."""
        ...

    def balancer(self, caller: str, target: str) -> list[Row]:
        """What the caller's balancers make of the target's instances, one row per process and instance."""
        ...

    def node(self) -> Mapping[str, Any]:
        """The registry itself."""
        ...

    def lags(self) -> Mapping[str, Sequence[float]]:
        """How far behind each peer was over the last quarter of an hour (s), by URL, one point each 5 s."""
        ...

    async def difference(self, peer: str) -> Mapping[str, Any] | None:
        """In which entries the list of the peer with that URL differs from ours; None if there is none.

        ``asked`` tells whether the peer was; else ``since`` when changes here have not reached it, and
        ``complete`` whether all of them are still known. ``counts`` and ``rows`` are by ``what``: ``here``,
        ``there`` or ``status``.
        """
        ...

    def changes(self) -> Sequence[Mapping[str, Any]]:
        """What happened lately, newest first, as :data:`Heard` is told of a ``change``."""
        ...

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Tell ``heard`` of whatever happens. Returns the way to leave."""
        ...


class Refused(Exception):
    """An action cannot be: ``status`` and a sentence say why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Actor(Protocol):
    """Does what people ask for. The outcome comes from the source, as an ``action``."""

    async def act(self, what: str, body: Mapping[str, Any], by: str, authorization: str) -> str:
        """Begin; the id of the action. Raises :class:`Refused` or WireError."""
        ...
