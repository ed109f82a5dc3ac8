"""What a write would store, from what is known. Pure functions; times are ms since the epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from resilient.model import Action, Instance, Status

from .records import NO_NOTE, Cause, Note, Record
from .status import own_override, status_of


def registered(
    instance: Instance,
    known: Record | None,
    now_ms: int,
    *,
    note: Note = NO_NOTE,
    by: str = "",
    replication: bool = False,
) -> Record:
    """A registration over what is ``known``, with what an operator said of one that had expired."""
    own = instance.status
    override, overlay = note.override, note.overlay
    if known is not None:
        override, overlay = known.override, known.overlay
    if known is not None and known.instance.dirty_at > instance.dirty_at:
        # What we have is newer: it stays, but the sender is alive all the same.
        instance, own = known.instance, known.own
    elif override is Status.UNKNOWN:
        override = own_override(instance)
    held = known.instance.status if known is not None else None
    status = status_of(instance.status, override, held, replication)
    if overlay and not overlay.items() <= instance.metadata.items():
        instance = dataclasses.replace(instance, metadata=MappingProxyType({**instance.metadata, **overlay}))
    up_at = known.up_at if known is not None else 0
    return Record(
        instance=instance if instance.status is status else instance.become(status),
        own=own,
        override=override,
        overlay=overlay,
        registered_at=now_ms,
        updated_at=now_ms,
        up_at=up_at or (now_ms if status is Status.UP else 0),
        action=Action.ADDED,
        cause=Cause.REGISTERED if known is None else Cause.REGISTERED_AGAIN,
        by=by or (known.by if known is not None else ""),
    )


def overridden(
    known: Record,
    status: Status | None,
    now_ms: int,
    *,
    show: Status | None = None,
    dirty_at: int = 0,
) -> Record | None:
    """An operator's status set or, with None, removed; None if that changes nothing.

    A removed override leaves ``show``, else UNKNOWN: the instance is then asked to register again.
    """
    if status is None:
        if known.override is Status.UNKNOWN:
            return None
        becomes = show or Status.UNKNOWN
        return _modified(known, becomes, Status.UNKNOWN, dirty_at, Cause.OVERRIDE_REMOVED, now_ms)
    if status is known.instance.status and status is known.override:
        return None
    return _modified(known, status, status, dirty_at, Cause.OVERRIDE, now_ms)


def overridden_by_peer(known: Record, status: Status, now_ms: int) -> Record | None:
    """A peer's word on an override: it holds from now on, by the rules of a heartbeat."""
    if status is Status.UNKNOWN or status is known.override:
        return None
    held = known.instance.status
    becomes = status_of(held, status, held, replication=True)
    return _modified(known, becomes, status, 0, Cause.OVERRIDE, now_ms)


def with_metadata(known: Record, entries: Mapping[str, str], now_ms: int, *, overlay: bool = True) -> Record:
    """Entries added to the metadata; Eureka counts it as a registration of what is stored.

    With ``overlay`` they survive the instance's next registration.
    """
    metadata = MappingProxyType({**known.instance.metadata, **entries})
    return dataclasses.replace(
        known,
        instance=dataclasses.replace(known.instance, metadata=metadata),
        overlay=MappingProxyType({**known.overlay, **entries}) if overlay else known.overlay,
        registered_at=now_ms,
        updated_at=now_ms,
        action=Action.ADDED,
        cause=Cause.METADATA,
    )


def removed(known: Record, cause: Cause, now_ms: int) -> Record:
    """The last word on an instance that is gone."""
    return dataclasses.replace(
        known,
        override=Status.UNKNOWN if cause is Cause.CANCELLED else known.override,
        updated_at=now_ms,
        evicted_at=now_ms,
        action=Action.DELETED,
        cause=cause,
    )


def _modified(
    known: Record, status: Status, override: Status, dirty_at: int, cause: Cause, now_ms: int
) -> Record:
    instance = dataclasses.replace(
        known.instance, status=status, dirty_at=max(known.instance.dirty_at, dirty_at)
    )
    return dataclasses.replace(
        known,
        instance=instance,
        override=override,
        updated_at=now_ms,
        up_at=known.up_at or (now_ms if status is Status.UP else 0),
        action=Action.MODIFIED,
        cause=cause,
    )
