"""Answers put together from pieces that are encoded and compressed once. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from .checksums import shift, times

#: Answers below this size (bytes) are compressed as a whole: cheap, and smaller.
SMALL = 32_768
#: Pieces from this size (bytes) on are kept compressed only: nearly all readers want them so.
KEPT_PLAIN = 2048
_LEVEL = 4
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = b"\x01\x00\x00\xff\xff"


class Piece:
    """Some bytes of an answer, or their compressed form once somebody needed it."""

    __slots__ = ("_packed", "_plain", "_shift", "crc", "size")

    def __init__(self, plain: bytes) -> None:
        self._plain: bytes | None = plain
        self._packed: bytes | None = None
        self._shift = 0
        self.size = len(plain)
        self.crc = zlib.crc32(plain)

    @property
    def plain(self) -> bytes:
        """The bytes."""
        if self._plain is not None:
            return self._plain
        assert self._packed is not None
        return zlib.decompressobj(-15).decompress(self._packed)

    @property
    def packed(self) -> bytes:
        """Whole deflate blocks that end on a byte, refer to nothing before, and do not end the stream."""
        if self._packed is None:
            assert self._plain is not None
            deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
            self._packed = deflate.compress(self._plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
            if self.size >= KEPT_PLAIN:
                self._plain = None
        return self._packed

    def after(self, check: int) -> int:
        """The checksum of what has ``check``, followed by this piece."""
        if not check:
            return self.crc
        if not self._shift:
            self._shift = shift(self.size)
        return times(check, self._shift) ^ self.crc


class Glue(Piece):
    """A few bytes between pieces. Not worth compressing."""

    __slots__ = ()

    @property
    def packed(self) -> bytes:
        """Stored blocks: their length, its complement, the bytes."""
        if self._packed is None:
            parts = []
            plain = self.plain
            for start in range(0, len(plain), 0xFFFF):
                part = plain[start : start + 0xFFFF]
                parts.append(struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF) + part)
            self._packed = b"".join(parts)
        return self._packed


@lru_cache(maxsize=64)
def glue(plain: bytes) -> Glue:
    """Glue of which there is a lot."""
    return Glue(plain)


class Run(Piece):
    """Pieces in a row whose common checksum and size are known; they stay with whoever holds them."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = tuple(pieces)
        self._plain = self._packed = None
        self._shift = 0
        self.size = 0
        self.crc = 0
        for piece in self.pieces:
            if piece.size:
                self.crc = piece.after(self.crc) if self.size else piece.crc
                self.size += piece.size

    @property
    def plain(self) -> bytes:
        """The bytes."""
        return b"".join(one.plain for one in self.pieces)

    @property
    def packed(self) -> bytes:
        """The blocks of all pieces."""
        return b"".join(one.packed for one in self.pieces)


class Answer:
    """A body, plain and gzipped; each is put together when first asked for.

    The plain form of a large one is made anew each time: hardly anybody wants it, and it is twenty times
    as large. ``number`` is that of the last change it is sure to hold, ``check`` the checksum of it all where
    that is known.
    """

    __slots__ = ("_check", "_gzipped", "_pieces", "_plain", "content_type", "number", "size")

    def __init__(
        self, content_type: str, pieces: Iterable[Piece], number: int = 0, *, check: int | None = None
    ) -> None:
        self.content_type = content_type
        self.number = number
        self._check = check
        self._pieces = tuple(pieces)
        self._plain: bytes | None = None
        self._gzipped: bytes | None = None
        self.size = sum(one.size for one in self._pieces)

    @property
    def plain(self) -> bytes:
        """The bytes as they are."""
        if self._plain is not None:
            return self._plain
        plain = b"".join(one.plain for one in self._pieces)
        if self.size <= SMALL:
            self._plain = plain
        return plain

    def parts(self) -> Iterator[bytes]:
        """The bytes as they are, piece by piece."""
        for piece in self._pieces:
            if isinstance(piece, Run):
                for one in piece.pieces:
                    yield one.plain
            else:
                yield piece.plain

    @property
    def gzipped(self) -> bytes:
        """One gzip member with the same content."""
        if self._gzipped is None:
            self._gzipped = self._gzip()
        return self._gzipped

    @property
    def weight(self) -> int:
        """Bytes it may hold on to beside its pieces."""
        return len(self._gzipped or b"") or min(self.size, SMALL)

    def _gzip(self) -> bytes:
        if self.size <= SMALL:
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
            return packer.compress(self.plain) + packer.flush()
        check = Run(self._pieces).crc if self._check is None else self._check
        trailer = struct.pack("<II", check, self.size & 0xFFFFFFFF)
        return b"".join((_HEADER, *(piece.packed for piece in self._pieces), _END, trailer))
