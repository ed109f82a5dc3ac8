"""A registry's records as bytes, and back; whatever a disk made of them. Pure.

A snapshot is a line that says what it is, then blocks. A block is its length and CRC-32 (of length and
content, 4 bytes each, big-endian) and a JSON array, deflated. The first block is the header, an object; the
others hold rows, one for each instance; the last one is empty. What verifies is used: a damaged block loses
its rows, a file cut short loses those behind the cut.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson

from resilient.eureka.reading import port_pair, shared
from resilient.model import Action, Instance, Status

from .records import NOTHING, Cause, Record

MAGIC = b"resilient registry snapshot 1\n"
#: Records in one block.
ROWS = 250
#: Bytes of a block after inflating; nothing honest comes near.
_MOST = 64 * 1024 * 1024
_HEAD = struct.Struct(">II")
_EMPTY: Mapping[str, object] = MappingProxyType({})
_LEVEL = 1


@dataclass(slots=True)
class Loaded:
    """What a snapshot held. ``damage`` says in words what did not verify, "" if all did."""

    header: Mapping[str, object] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    damage: str = ""


def rows(records: Iterable[Record]) -> bytes:
    """Some records, as the content of one block before it is deflated."""
    return orjson.dumps([_row(one) for one in records])


def block(content: bytes) -> bytes:
    """One block around content. It deflates, so it takes a while; any thread may do it."""
    packed = zlib.compress(content, _LEVEL) if content else b""
    size = struct.pack(">I", len(packed))
    return size + struct.pack(">I", zlib.crc32(packed, zlib.crc32(size))) + packed


def head(header: Mapping[str, object]) -> bytes:
    """What a file begins with."""
    return MAGIC + block(orjson.dumps(header))


#: What it ends with.
END = block(b"")


def read(data: bytes) -> Generator[None, None, Loaded]:
    """What the bytes of a file say, in steps of one block. Never raises for what they are."""
    found = Loaded()
    if not data.startswith(MAGIC):
        found.damage = "it does not begin as a snapshot of this version does"
        return found
    place, number, bad = len(MAGIC), 0, 0
    while True:
        if place + _HEAD.size > len(data):
            found.damage = "it is cut short"
            break
        size, check = _HEAD.unpack_from(data, place)
        packed = data[place + _HEAD.size : place + _HEAD.size + size]
        if len(packed) < size:
            found.damage = "it is cut short, or a length in it is damaged"
            break
        place += _HEAD.size + size
        if zlib.crc32(packed, zlib.crc32(struct.pack(">I", size))) != check:
            bad += 1
        elif not size:
            if place < len(data):
                found.damage = "something follows its end"
            break
        elif not _take(packed, number, found):
            bad += 1
        number += 1
        yield
    if bad:
        found.damage = f"{bad} of its blocks {'is' if bad == 1 else 'are'} damaged" + (
            f", and {found.damage}" if found.damage else ""
        )
    return found


def _take(packed: bytes, number: int, found: Loaded) -> bool:
    try:
        inflate = zlib.decompressobj()
        content = orjson.loads(inflate.decompress(packed, _MOST))
        if number == 0:
            if not isinstance(content, dict):
                return False
            found.header = content
        elif not isinstance(content, list):
            return False
        else:
            found.records.extend([_record(row) for row in content])
    except (zlib.error, orjson.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


def _row(record: Record) -> list[object]:
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


def _record(row: list[object]) -> Record:
    (
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
    ) = row
    instance = Instance(
        service=shared(_text(service)),
        id=_text(id),
        host=_text(host),
        port=_whole(port),
        address=_text(address),
        secure=bool(secure),
        status=Status(_text(status)),
        zone=shared(_text(zone)),
        metadata=_texts(metadata),
        renew_every=_seconds(renew_every),
        expire_after=_seconds(expire_after),
        dirty_at=_whole(dirty_at),
        extra=_extra(extra),
    )
    return Record(
        instance=instance,
        own=Status(_text(own)),
        override=Status(_text(override)),
        overlay=_texts(overlay),
        registered_at=_whole(registered_at),
        updated_at=_whole(updated_at),
        up_at=_whole(up_at),
        action=Action(_text(action)),
        cause=Cause(_text(cause)),
        by=shared(_text(by)),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text was expected")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a whole number was expected")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value <= 1_000_000:
        raise TypeError("seconds were expected")
    return value


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return (
        MappingProxyType({shared(key): shared(_text(one)) for key, one in value.items()})
        if value
        else NOTHING
    )


def _extra(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return {shared(key): _as_shared(one) for key, one in value.items()} if value else _EMPTY


def _as_shared(value: object) -> object:
    """The very objects that reading a registration would have given, where instances share them."""
    if isinstance(value, str):
        return shared(value)
    if isinstance(value, dict) and value.keys() == {"$", "@enabled"} and isinstance(value["$"], int):
        return port_pair(value["$"], value["@enabled"] == "true")
    return value
