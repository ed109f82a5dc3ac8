"""What a registry remembers of an instance, and what it says when that changes. All immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from resilient.eureka.fields import Standing
from resilient.model import Action, Instance, Status

NOTHING: Mapping[str, str] = MappingProxyType({})


class Cause(StrEnum):
    """Why a record changed, in words for people."""

    REGISTERED = "registered"
    REGISTERED_AGAIN = "registered again"
    METADATA = "metadata"
    OVERRIDE = "override"
    OVERRIDE_REMOVED = "override removed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An instance as others see it, with what the registry adds. Times are ms since the epoch, 0 unset.

    ``instance.status`` is the status in force; ``own`` is what the instance said last; ``override``
    is an operator's word (UNKNOWN: none). ``overlay`` holds metadata set through the registry: it lies
    over what the instance sends and survives its next registration. ``by`` is the peer address that
    registered the instance.
    """

    instance: Instance
    own: Status
    override: Status = Status.UNKNOWN
    overlay: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    registered_at: int = 0
    updated_at: int = 0
    up_at: int = 0
    evicted_at: int = 0
    action: Action = Action.ADDED
    cause: Cause = Cause.REGISTERED
    by: str = ""

    def standing(self, renewed_at: int | None = None) -> Standing:
        """The part of a Eureka answer that the instance does not say itself."""
        return Standing(
            overridden=self.override,
            registered_at=self.registered_at,
            renewed_at=self.updated_at if renewed_at is None else renewed_at,
            evicted_at=self.evicted_at,
            up_at=self.up_at,
            updated_at=self.updated_at,
            action=self.action,
        )


def alike(one: Record, other: Record) -> bool:
    """Whether two records of an instance say the same, but for stamps."""
    first, second = one.instance, other.instance
    return (
        first.status is second.status
        and one.override is other.override
        and first.metadata == second.metadata
        and (first.host, first.port, first.address, first.secure, first.zone)
        == (second.host, second.port, second.address, second.secure, second.zone)
        and (first.renew_every, first.expire_after) == (second.renew_every, second.expire_after)
        and first.extra == second.extra
    )


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to the lease table. ``number`` counts changes since the start.

    ``at`` is monotonic, in seconds. ``before`` is the status until then, None for a new instance.
    ``same``: nothing that readers care for is different, as when an instance registers again.
    """

    number: int
    at: float
    record: Record
    before: Status | None
    same: bool = False

    @property
    def service(self) -> str:
        return self.record.instance.service

    @property
    def id(self) -> str:
        return self.record.instance.id

    @property
    def action(self) -> Action:
        return self.record.action


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An instance that signed out with this stamp. ``until`` is monotonic, in seconds, here and below."""

    dirty_at: int
    until: float


@dataclass(frozen=True, slots=True)
class Note:
    """What an operator said of an instance that has expired, for the case that it comes back."""

    override: Status
    overlay: Mapping[str, str]
    until: float


NO_NOTE = Note(Status.UNKNOWN, NOTHING, 0.0)


class Renewal(StrEnum):
    """What the registry makes of a heartbeat."""

    RENEWED = "renewed"
    UNKNOWN = "unknown"  # not known here, or to be seen afresh: register again
    NEWER_THERE = "newer there"  # the instance knows more about itself than we do: register again
    NEWER_HERE = "newer here"  # a peer is behind: here is what we know
