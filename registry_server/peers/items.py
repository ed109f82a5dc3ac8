"""What is said of a record to other registries. Pure."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

from resilient.eureka.replication import Item, Kind
from resilient.model import Instance, Status

from ..records import Record

_OVERRIDE = "overriddenStatus"


def registered(record: Record) -> Item:
    """A registration: everything that is known of the instance, an operator's word included."""
    return _item(Kind.REGISTER, record, status=record.instance.status, instance=_whole(record))


def heartbeat(record: Record) -> Item:
    """A heartbeat, with the stamp by which the peer sees whether it is behind."""
    override = None if record.override is Status.UNKNOWN else record.override
    return _item(Kind.HEARTBEAT, record, status=record.instance.status, overridden=override)


def cancelled(record: Record) -> Item:
    """A sign-out."""
    return _item(Kind.CANCEL, record)


def overridden(record: Record, status: Status) -> Item:
    """An operator's status."""
    return _item(Kind.STATUS, record, status=status)


def override_removed(record: Record, show: Status) -> Item:
    """An operator's status taken back."""
    return _item(Kind.STATUS_REMOVED, record, status=show)


def _item(
    kind: Kind,
    record: Record,
    *,
    status: Status | None = None,
    overridden: Status | None = None,
    instance: Instance | None = None,
) -> Item:
    known = record.instance
    return Item(
        kind=kind,
        app=known.service.upper(),
        id=known.id,
        dirty_at=known.dirty_at,
        status=status,
        overridden=overridden,
        instance=instance,
    )


def _whole(record: Record) -> Instance:
    """The instance with the override in force, which may not be the one it registered with."""
    known = record.instance
    if known.extra.get(_OVERRIDE, Status.UNKNOWN) == record.override:
        return known
    extra = {name: value for name, value in known.extra.items() if name != _OVERRIDE}
    if record.override is not Status.UNKNOWN:
        extra[_OVERRIDE] = record.override.value
    return dataclasses.replace(known, extra=MappingProxyType(extra))
