"""Server-sent events out of a stream of bytes, in whatever pieces they come (pure)."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import WireError

#: One event may be so large, in bytes; an unfinished line as well.
LARGEST = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One event. ``id`` is the one it carried itself, ``None`` without: not that of an earlier event."""

    name: str
    data: bytes
    id: str | None = None


class SseReader:
    """Give it what arrived, get the events that are complete now. It keeps one event at most.

    Raises WireError for an event larger than ``limit`` bytes; the stream cannot be read on then.
    """

    def __init__(self, limit: int = LARGEST) -> None:
        self._limit = limit
        self._tail = bytearray()
        self._half_break = False
        self._first = True
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        """The events that this piece completes."""
        if self._half_break and chunk[:1] == b"\n":  # the other half of a line's end
            chunk = chunk[1:]
            self._half_break = False
        if not chunk:
            return []
        self._half_break = chunk[-1:] == b"\r"
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._grow(chunk)
            return []
        self._tail += chunk
        lines = bytes(self._tail).split(b"\n")
        self._tail.clear()
        self._grow(lines.pop())
        frames: list[Frame] = []
        for line in lines:
            if self._first:
                self._first = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line)
            else:
                self._end(frames)
        return frames

    def _grow(self, piece: bytes) -> None:
        self._tail += piece
        if len(self._tail) > self._limit:
            raise WireError(f"a line of the event stream is longer than {self._limit} bytes")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + 1
            if self._size > self._limit:
                raise WireError(f"an event of the stream is longer than {self._limit} bytes")
            self._data.append(value)
        elif name == b"event":
            self._name = value[:64]
        elif name == b"id" and b"\0" not in value:
            self._id = value[:128].decode("utf-8", "replace")

    def _end(self, frames: list[Frame]) -> None:
        if self._data:
            name = self._name.decode("utf-8", "replace") or "message"
            frames.append(Frame(name, b"\n".join(self._data), self._id))
        self._name, self._data, self._size, self._id = b"", [], 0, None
