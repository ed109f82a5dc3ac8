"""A snapshot's rows: one array for each record, and back. Pure.

Rows are read a block at a time and by column: to ask of a whole column whether it holds nothing but texts
costs less than to ask each of its values, and a large registry reads two million before its first answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

from resilient.eureka.reading import SHARED, URLS, kept, port_pair, shared
from resilient.model import Action, Instance, Status

from .records import NOTHING, Cause, Record

_EMPTY: Mapping[str, object] = MappingProxyType({})
_STATUS = {one.value: one for one in Status}
_ACTION = {one.value: one for one in Action}
_CAUSE = {one.value: one for one in Cause}
_OWN_TO_EACH = frozenset(URLS)
_PORT = {"$", "@enabled"}
_LONGEST = 1_000_000


def row(record: Record) -> list[object]:
    """A record as a row."""
    one = record.instance
    return [
        one.service,
        one.id,
        one.host,
        one.port,
        one.address,
        one.secure,
        one.status.value,
        one.zone,
        dict(one.metadata),
        one.renew_every,
        one.expire_after,
        one.dirty_at,
        dict(one.extra),
        record.own.value,
        record.override.value,
        dict(record.overlay),
        record.registered_at,
        record.updated_at,
        record.up_at,
        record.action.value,
        record.cause.value,
        record.by,
    ]


def records(rows: list[Any]) -> list[Record]:
    """The records of some rows. TypeError, ValueError or KeyError if one of them is no record's."""
    if not rows:
        return []
    _only((list,), rows)
    # Those with an underscore are checked when they are looked up below.
    (
        services,
        ids,
        hosts,
        ports,
        addresses,
        secures,
        _statuses,
        zones,
        metadatas,
        renewals,
        expiries,
        dirty,
        extras,
        _owns,
        _overrides,
        overlays,
        registered,
        updated,
        up,
        _actions,
        _causes,
        senders,
    ) = zip(*rows, strict=True)
    for texts in (services, ids, hosts, addresses, zones, senders):
        _only((str,), texts)
    for numbers in (ports, dirty, registered, updated, up):
        _only((int,), numbers)
        if min(numbers) < 0:
            raise ValueError("a whole number was expected")
    for spans in (renewals, expiries):
        _only((int, float), spans)
        if not (min(spans) > 0 and max(spans) <= _LONGEST):
            raise ValueError("seconds were expected")
    for maps in (metadatas, extras, overlays):
        _only((dict,), maps)
    _only((bool,), secures)
    said = list(chain.from_iterable(map(dict.values, metadatas + overlays)))
    _only((str,), said)
    texts_of = _short if max(map(len, said), default=0) <= SHARED else _texts
    return [
        Record(
            instance=Instance(
                service=shared(service),
                id=id,
                host=host,
                port=port,
                address=address,
                secure=secure,
                status=_STATUS[status],
                zone=shared(zone),
                metadata=texts_of(metadata) if metadata else NOTHING,
                renew_every=renew_every,
                expire_after=expire_after,
                dirty_at=dirty_at,
                extra=_extra(extra) if extra else _EMPTY,
            ),
            own=_STATUS[own],
            override=_STATUS[override],
            overlay=texts_of(overlay) if overlay else NOTHING,
            registered_at=registered_at,
            updated_at=updated_at,
            up_at=up_at,
            action=_ACTION[action],
            cause=_CAUSE[cause],
            by=shared(by),
        )
        for (
            service,
            id,
            host,
            port,
            address,
            secure,
            status,
            zone,
            metadata,
            renew_every,
            expire_after,
            dirty_at,
            extra,
            own,
            override,
            overlay,
            registered_at,
            updated_at,
            up_at,
            action,
            cause,
            by,
        ) in rows
    ]


def _only(kinds: Collection[type], values: Iterable[object]) -> None:
    """TypeError if there is any other kind among the values; a truth value is no number here."""
    if not set(map(type, values)).issubset(kinds):
        raise TypeError("a row holds what no record does")


def _texts(told: dict[str, str]) -> Mapping[str, str]:
    return MappingProxyType({key: shared(value) for key, value in told.items()})


def _short(told: dict[str, str]) -> Mapping[str, str]:
    """The same if all are short enough to be shared. The keys are shared by who parsed them."""
    return MappingProxyType(dict(zip(told, map(kept, told.values()), strict=True)))


def _extra(told: dict[str, object]) -> Mapping[str, object]:
    for key, value in told.items():
        if key in _OWN_TO_EACH:
            continue
        if type(value) is str:
            told[key] = shared(value)
        elif type(value) is dict and value.keys() == _PORT and type(value["$"]) is int:
            # The very object that reading a registration would have given.
            told[key] = port_pair(value["$"], value["@enabled"] == "true")
    return told
