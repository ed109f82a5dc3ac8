"""Server-sent events: lines out, lines in (pure)."""

import re
from dataclasses import dataclass

from ..errors import WireError

_NEWLINE = re.compile(r"\r\n|\r|\n")
_BREAKS = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"

#: What a quiet stream sends so that both sides know it is alive.
HEARTBEAT = b":\n\n"


def event(
    data: str | bytes, *, name: str | None = None, id: str | int | None = None, retry: float | None = None
) -> bytes:
    """One event as bytes. Line breaks in ``data`` become lines of their own; ``retry`` is in seconds.

    Raises ``ValueError`` for a line break or NUL in ``name`` or ``id``: it would begin another field.
    """
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    lines = []
    if name is not None:
        lines.append(f"event: {_one_line('name', name)}")
    if id is not None:
        lines.append(f"id: {_one_line('id', str(id))}")
    if retry is not None:
        lines.append(f"retry: {max(0, round(retry * 1000))}")
    if "\n" in text or "\r" in text:
        lines.extend(f"data: {line}" for line in _NEWLINE.split(text))
    else:
        lines.append(f"data: {text}")
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def comment(text: str = "") -> bytes:
    """A line for nobody; it keeps a quiet connection alive."""
    return f": {_NEWLINE.sub(' ', text)}\n\n".encode("utf-8", "replace")


def _one_line(what: str, text: str) -> str:
    if any(c in text for c in "\r\n\0"):
        raise ValueError(f"an event's {what} cannot hold a line break or NUL")
    return text


@dataclass(frozen=True, slots=True)
class Message:
    """One event that arrived. ``id`` is the last one the stream gave, maybe with an earlier event."""

    data: str
    name: str = "message"
    id: str = ""


class Parser:
    """Bytes in any pieces to messages, as the HTML standard reads them.

    An event may hold ``limit`` bytes, an unfinished line as much; beyond that :class:`WireError`, and the
    stream cannot be read on. ``retry`` is the reconnection time last asked for, in seconds.
    """

    def __init__(self, limit: int = 1024 * 1024, *, last_id: str = "") -> None:
        self._limit = limit
        self._tail = bytearray()
        self._searched = 0
        self._started = False
        self._skip_newline = False
        self._data: list[str] = []
        self._size = 0
        self._name = ""
        self._broken = False
        self.last_id = last_id
        self.retry: float | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """What became complete with this piece."""
        if self._broken:
            raise WireError("this event stream has already been given up")
        self._tail += chunk
        if not self._started:
            if len(self._tail) < len(_BOM) and _BOM.startswith(bytes(self._tail)):
                return []
            if self._tail.startswith(_BOM):
                del self._tail[: len(_BOM)]
            self._started = True
        if self._skip_newline and self._tail:
            # The last piece ended in CR; an LF now belongs to it.
            if self._tail[0] == 0x0A:
                del self._tail[:1]
            self._skip_newline = False
            return self._lines()
        if b"\n" not in chunk and b"\r" not in chunk and len(self._tail) <= self._limit:
            self._searched = len(self._tail)
            return []
        return self._lines()

    def _lines(self) -> list[Message]:
        messages: list[Message] = []
        buffer = bytes(self._tail)
        start = 0
        for found in _BREAKS.finditer(buffer, self._searched):
            message = self._line(buffer[start : found.start()])
            if message is not None:
                messages.append(message)
            start = found.end()
            self._skip_newline = start == len(buffer) and found.group() == b"\r"
        del self._tail[:start]
        self._searched = len(self._tail)
        if len(self._tail) > self._limit:
            self._broken = True
            raise WireError(f"a line of the event stream is longer than {self._limit} bytes")
        return messages

    def _line(self, raw: bytes) -> Message | None:
        if not raw:
            return self._dispatch()
        if raw[0] == 0x3A:
            return None
        field, _, value = raw.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._size += len(raw)
                if self._size > self._limit:
                    self._broken = True
                    raise WireError(f"an event of the stream is longer than {self._limit} bytes")
                self._data.append(value)
            case "event":
                self._name = value
            case "id" if "\0" not in value:
                self.last_id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= 9:
                self.retry = int(value) / 1000
        return None

    def _dispatch(self) -> Message | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        if not data:
            return None
        return Message("\n".join(data), name or "message", self.last_id)
