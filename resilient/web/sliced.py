"""Large bodies sent in slices, so that a reader who takes nothing holds no more than one of them (S-55)."""

from __future__ import annotations

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

#: Bytes that are handed to the transport at once.
SLICE = 192 * 1024


class Sliced(Payload):
    """The body of a response. Its bytes are not copied, and may be those of many responses."""

    _value: bytes

    @property
    def size(self) -> int:
        """The length of the whole."""
        return len(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """As text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Slice after slice, each when the one before is on its way."""
        whole = memoryview(self._value)
        for start in range(0, len(whole), SLICE):
            await writer.write(whole[start : start + SLICE])
            # Without this the last slices would not be waited for.
            await writer.drain()


def sliced(body: bytes) -> bytes | Sliced:
    """What to give to a response as its body."""
    return body if len(body) <= SLICE else Sliced(body)
