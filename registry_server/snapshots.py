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

import orjson

from . import snapshots_rows
from .records import Record

MAGIC = b"resilient registry snapshot 1\n"
#: Records in one block.
ROWS = 250
#: Bytes of a block after inflating; nothing honest comes near.
_MOST = 64 * 1024 * 1024
_HEAD = struct.Struct(">II")
_LEVEL = 1


@dataclass(slots=True)
class Loaded:
    """What a snapshot held. ``damage`` says in words what did not verify, "" if all did."""

    header: Mapping[str, object] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    damage: str = ""


def rows(records: Iterable[Record]) -> bytes:
    """Some records, as the content of one block before it is deflated."""
    return orjson.dumps([snapshots_rows.row(one) for one in records])


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
            found.records.extend(snapshots_rows.records(content))
    except (zlib.error, orjson.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError):
        return False
    return True
