"""What another registry tells us, one item of its batches at a time."""

from __future__ import annotations

import logging

from resilient.eureka.replication import Item, Kind
from resilient.model import Status

from ..records import Record, Renewal
from ..registry import Registered, Registry

_log = logging.getLogger("resilient.registry.peers")


async def execute(registry: Registry, item: Item, by: str) -> tuple[int, Record | None]:
    """Do what an item says; returns its status, and our own record where the peer is behind.

    Nothing of it is told to other peers. An item that fails does not hurt the rest of its batch.
    """
    try:
        return await _execute(registry, item, by)
    except Exception:
        _log.exception("an item of a peer's batch failed")
        return 500, None


async def _execute(registry: Registry, item: Item, by: str) -> tuple[int, Record | None]:
    service = item.app.lower()
    if item.kind is Kind.REGISTER:
        if item.instance is None:
            # Eureka answers 200 to what breaks a rule, so that the peer does not send it for ever.
            return (200, None) if item.problem else (500, None)
        became = await registry.register(item.instance, by=by, replication=True)
        return (507 if became is Registered.FULL else 200), None
    if item.kind is Kind.HEARTBEAT:
        renewal = await registry.renew_from_peer(service, item.id, item.dirty_at, item.overridden)
        if renewal is Renewal.NEWER_HERE:
            lease = registry.table.get(service, item.id)
            return 409, lease.record if lease is not None else None
        return (200 if renewal is Renewal.RENEWED else 404), None
    if item.kind is Kind.CANCEL:
        # Eureka sends no stamp; ours does, for a cancel that was late must not end who came back meanwhile.
        done = await registry.cancel(service, item.id, dirty_at=item.dirty_at, replication=True)
        return (200 if done else 404), None
    if item.kind is Kind.STATUS:
        if item.status is None:
            return 500, None
        done = await registry.set_status(service, item.id, item.status, item.dirty_at or 0, replication=True)
        return (200 if done else 404), None
    if item.dirty_at is None:
        return 500, None
    show = None if item.status is Status.UNKNOWN else item.status
    done = await registry.clear_status(service, item.id, show, item.dirty_at, replication=True)
    return (200 if done else 404), None
