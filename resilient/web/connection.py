"""One connection: aiohttp's protocol, plus the watch on heads, bodies and readers that it does not keep.

No timer per connection. Each one notes the moment something began; one task per listener
(:meth:`Watch.sweep`) walks over all of them and ends what took too long.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import LineTooLong

from .headers import DressedWriter
from .limits import Limits
from .problems import problem_text
from .trust import is_loopback_address, source

log = logging.getLogger("resilient.web")
_HEAD_END = b"\r\n\r\n"


class BodyTooSlow(TimeoutError):
    """A request's body did not come in time. aiohttp takes time-outs of a payload for an ordinary end."""


@dataclass(slots=True)
class Counts:
    """What a listener has refused so far, by kind; never by name."""

    connections: int = 0  #: refused: too many
    heads: int = 0  #: cut: head not complete in time, or too large
    bodies: int = 0  #: cut: body too slow
    readers: int = 0  #: cut: did not read
    garbage: int = 0  #: requests nobody could parse


class Watch:
    """All connections of one listener."""

    def __init__(self, limits: Limits, most: int, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.most = most
        self.loop = loop
        self.now = loop.time()
        self.open: set[Connection] = set()
        self.addresses: dict[str, int] = {}
        self.counts = Counts()
        self.tick = min(1.0, limits.head_timeout / 5, limits.body_timeout / 5, limits.stall_timeout / 5)

    def admit(self, connection: "Connection", peer: str) -> bool:
        """Whether there is room for one more. The limit per address spares this machine's own callers."""
        address = "" if not peer or is_loopback_address(peer) else source(peer)
        taken = self.addresses.get(address, 0) if address else 0
        if len(self.open) >= self.most or taken >= self.limits.connections_per_address:
            self.counts.connections += 1
            return False
        self.open.add(connection)
        if address:
            self.addresses[address] = taken + 1
            connection.address = address
        return True

    def vouch(self, connection: "Connection") -> None:
        """Its caller showed a token: it no longer counts against its address."""
        if address := connection.address:
            connection.address = ""
            left = self.addresses[address] - 1
            if left:
                self.addresses[address] = left
            else:
                del self.addresses[address]

    def leave(self, connection: "Connection") -> None:
        """It is closed."""
        if connection in self.open:
            self.open.discard(connection)
            self.vouch(connection)

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(self.tick)
            try:
                self.sweep()
            except Exception:
                log.exception("the watch over connections failed; it goes on")

    def sweep(self) -> None:
        """End what took too long."""
        now = self.now = self.loop.time()
        for connection in tuple(self.open):
            connection.look(now)


class Connection(web.RequestHandler):
    """One connection of a guarded listener; handlers meet it as ``request.protocol``."""

    __slots__ = (
        "address",
        "body",
        "body_bytes",
        "body_since",
        "buffered",
        "busy",
        "foreign",
        "headed",
        "partial",
        "partial_tail",
        "rest",
        "split",
        "stalled_since",
        "vouched",
        "waiting_since",
        "watch",
        "wire",
    )

    def __init__(self, manager: web.Server, watch: Watch, **kwargs: Any) -> None:
        super().__init__(manager, loop=watch.loop, **kwargs)
        self.watch = watch
        self.address = ""
        self.wire: asyncio.Transport | None = None
        self.busy = False  #: a handler is at work
        self.waiting_since = 0.0  #: when the head began that is not complete yet; 0: none
        self.headed = False  #: a head is complete, its handler has not begun
        self.split = False  #: the head may be large: it came in pieces, or with a lot behind it
        self.foreign = False  #: the request is of a version of HTTP that is not spoken here
        self.partial = 0  #: bytes of an incomplete head
        self.partial_tail = b""
        self.body: StreamReader | None = None  #: the body under way
        self.rest: StreamReader | None = None  #: of a body whose handler is done
        self.body_since = 0.0
        self.body_bytes = 0
        self.stalled_since = 0.0
        self.buffered = 0
        self.vouched = ""  #: the Authorization that opened everything here before

    # -- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        if not self.watch.admit(self, address):
            transport.abort()  # type: ignore[attr-defined]
            return
        self.wire = transport  # type: ignore[assignment]
        self.waiting_since = self.watch.loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.wire is None:
            return
        self.wire = None
        self.watch.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.rest is not None:
            # What is left of a body that its handler did not read; aiohttp throws it away.
            if self.rest.is_eof():
                self.rest = None
            return
        if self.busy or self.headed:
            if data:
                self._more(data)
        elif not self.partial and data[-4:] == _HEAD_END and len(data) < 8192:
            self.headed = True
        elif data:
            self._piece(data)

    def _piece(self, data: bytes) -> None:
        """Bytes of a head that did not come in one piece, or of more than a head."""
        self.split = True
        if _HEAD_END in self.partial_tail + data:
            self.headed = True
            self.partial = 0
            self.partial_tail = b""
            return
        self.partial += len(data)
        self.partial_tail = (self.partial_tail + data)[-3:]
        if not self.waiting_since:
            self.waiting_since = self.watch.loop.time()
        if self.partial > self.watch.limits.head:
            self._end_head(431, "header-too-large", "the request head is too large")

    def _more(self, data: bytes) -> None:
        """Bytes that came while a request is being handled: its body, or the next request."""
        if self.body is not None:
            self.body_bytes += len(data)
            if self.body.is_eof():
                self.body = None
        elif self.busy:
            # A pipelined request. It gets its time once the present one is answered.
            self.split = True
            self.waiting_since = 0.0 if data[-4:] == _HEAD_END else self.watch.now
        elif not self.waiting_since:
            self.waiting_since = self.watch.now

    # -- what the guard says

    def begin(self) -> None:
        """A request's handler begins."""
        self.busy = True
        self.headed = False
        self.waiting_since = 0.0
        self.partial = 0

    def expect(self, body: StreamReader) -> None:
        """Some of its body is still to come."""
        self.body = body
        self.body_bytes = 0
        self.body_since = self.watch.loop.time()

    def end(self) -> None:
        """The handler is done."""
        self.busy = False
        if self.body is not None and not self.body.is_eof():
            self.rest = self.body
        self.body = None
        if self.waiting_since:
            self.waiting_since = self.watch.loop.time()

    # -- what the watch says

    def look(self, now: float) -> None:
        """Is anything overdue?"""
        limits = self.watch.limits
        wire = self.wire
        if wire is None:
            return
        buffered = wire.get_write_buffer_size()
        if not buffered:
            self.stalled_since = 0.0
        elif not self.stalled_since or buffered < self.buffered:
            self.stalled_since = now
        elif now - self.stalled_since > limits.stall_timeout:
            self.watch.counts.readers += 1
            wire.abort()
            return
        self.buffered = buffered
        if self.body is not None:
            self._look_at_body(wire, now)
        elif self.waiting_since and not self.busy and now - self.waiting_since > limits.head_timeout:
            self._end_head(408, "too-slow", "the request head did not come in time")

    def _look_at_body(self, wire: asyncio.Transport, now: float) -> None:
        body = self.body
        assert body is not None
        if body.is_eof():
            self.body = None
            return
        if not wire.is_reading():
            # It is our side that holds it up.
            self.body_since = now
            self.body_bytes = 0
            return
        limits = self.watch.limits
        took = now - self.body_since
        if took > limits.body_timeout or (
            took > limits.body_grace and self.body_bytes < limits.body_rate * (took - limits.body_grace)
        ):
            self.watch.counts.bodies += 1
            self.body = None
            # Whoever reads it learns of it and may still answer 408.
            body.set_exception(BodyTooSlow())

    def _end_head(self, status: int, code: str, message: str) -> None:
        self.watch.counts.heads += 1
        wire = self.wire
        if wire is None:
            return
        if self.partial:
            wire.write(_raw(status, code, message))
        self.waiting_since = 0.0
        self.force_close()

    # -- what aiohttp says

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be parsed, and to what failed outside of every handler.

        aiohttp's own would quote the bytes it did not like and write a traceback for every port scan.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        if isinstance(exc, ConnectionError) and (self.wire is None or self.wire.is_closing()):
            raise exc  # hung up in the middle of a body: aiohttp ends the connection quietly
        if status == 500:
            log.error("a request failed outside of its handler", exc_info=exc)
            code, text = "internal-error", "internal error"
        elif isinstance(exc, LineTooLong) or "Too many headers" in str(exc):
            status, code, text = 431, "header-too-large", "the request head is too large"
        else:
            code, text = "bad-request", "this is not a request this server can read"
        if status != 500:
            self.watch.counts.garbage += 1
            log.debug("unreadable request", extra={"status": status})
        response = web.Response(status=status, text=problem_text(code, text), content_type="application/json")
        response.force_close()
        return response


_REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large"}


def _raw(status: int, code: str, message: str) -> bytes:
    body = problem_text(code, message).encode()
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    ).encode() + body


def dressed(factory: Any) -> Any:
    """A request factory whose requests answer through :class:`DressedWriter`."""

    def make(message: Any, payload: Any, protocol: Connection, writer: Any, task: Any) -> web.BaseRequest:
        if message.version != HttpVersion11 and message.version != HttpVersion10:
            # The answer must be of a version we speak, and the guard looks at it closely.
            message = message._replace(version=HttpVersion11)
            protocol.foreign = protocol.split = True
        # aiohttp has just made it, and offers no way to have another one made.
        writer.__class__ = DressedWriter
        request: web.BaseRequest = factory(message, payload, protocol, writer, task)
        return request

    return make
