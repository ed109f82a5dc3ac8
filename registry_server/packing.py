"""Answers put together from pieces that are encoded and compressed once. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

#: Answers below this size (bytes) are compressed as a whole: cheap, and smaller.
SMALL = 32_768
_LEVEL = 4
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = b"\x01\x00\x00\xff\xff"


class Piece:
    """Some bytes of an answer, and their compressed form when somebody needed it."""

    __slots__ = ("_packed", "plain")

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self._packed: bytes | None = None

    @property
    def packed(self) -> bytes:
        """Whole deflate blocks that end on a byte, refer to nothing before, and do not end the stream."""
        if self._packed is None:
            deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
            self._packed = deflate.compress(self.plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
        return self._packed


class Glue(Piece):
    """A few bytes between pieces. Not worth compressing."""

    __slots__ = ()

    @property
    def packed(self) -> bytes:
        """Stored blocks: their length, its complement, the bytes."""
        parts = []
        for start in range(0, len(self.plain), 0xFFFF):
            part = self.plain[start : start + 0xFFFF]
            parts.append(struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF) + part)
        return b"".join(parts)


class Answer:
    """A body, plain and gzipped; each is put together when first asked for."""

    __slots__ = ("_gzipped", "_pieces", "_plain", "content_type", "size")

    def __init__(self, content_type: str, pieces: Iterable[Piece]) -> None:
        self.content_type = content_type
        self._pieces = tuple(pieces)
        self._plain: bytes | None = None
        self._gzipped: bytes | None = None
        self.size = sum(len(one.plain) for one in self._pieces)

    @property
    def plain(self) -> bytes:
        """The bytes as they are."""
        if self._plain is None:
            self._plain = b"".join(one.plain for one in self._pieces)
        return self._plain

    @property
    def gzipped(self) -> bytes:
        """One gzip member with the same content."""
        if self._gzipped is None:
            self._gzipped = self._gzip()
        return self._gzipped

    def _gzip(self) -> bytes:
        if self.size <= SMALL:
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
            return packer.compress(self.plain) + packer.flush()
        check = 0
        for piece in self._pieces:
            check = zlib.crc32(piece.plain, check)
        trailer = struct.pack("<II", check, self.size & 0xFFFFFFFF)
        return b"".join((_HEADER, *(piece.packed for piece in self._pieces), _END, trailer))
