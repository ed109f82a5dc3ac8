"""A small HTTP server that misbehaves by script."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Self

from ..background import BackgroundLoop
from ..errors import ConfigError
from .script import Call, Entry, Exchange, Refuse, Step, ok, step_from

#: The most bytes of one request's body.
LARGEST = 16 * 1024 * 1024


def flaky(*script: Entry, then: Entry = ok) -> Flaky:
    """One instance of a service, for ``with`` or ``async with``: ``with flaky(answer(503), reset()) as one:``.

    Each request meets the next step of the script; when it is over, ``then`` answers all that follow. A
    step is ``answer(503)``, ``hang()``, ``reset()``, ``drip()``, ``delay(0.2)``, ``refuse()``, ``ok``, a
    bare status, or a function that gets the `Call` and returns one of these. Raises ConfigError for
    anything else.
    """
    return Flaky(*script, then=then)


class Flaky:
    """A server on a free port of 127.0.0.1, on a thread of its own: blocking tests can use it as well.

    ``url`` is where it listens, ``calls`` what has arrived, oldest first.
    """

    def __init__(self, *script: Entry, then: Entry = ok) -> None:
        self.url = ""
        self.port = 0
        self.calls: list[Call] = []
        self.connections = 0
        self._script: list[Entry] = []
        self._then: Entry = ok
        self._home = BackgroundLoop("resilient-flaky")
        self._bound: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._later: asyncio.TimerHandle | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._idle: set[asyncio.StreamWriter] = set()
        self._set(script, then)

    def play(self, *script: Entry, then: Entry = ok) -> None:
        """A new script, from the next request on; listens again unless the script says otherwise."""
        self._set(script, then)
        if self.url:
            self._do(self._begin())

    def refuse(self) -> None:
        """Nobody listens from now on, until `listen`. Calls under way may end."""
        self._do(self._shut())

    def listen(self) -> None:
        """Listen again, on the same port. Harmless when it does."""
        self._do(self._listen())

    def drop(self) -> None:
        """Close every open connection, as a restart would."""
        self._do(self._drop())

    def __enter__(self) -> Self:
        if self.url:
            raise ConfigError("this flaky server runs already; make another one")
        self._bound = _bind(0)
        self.port = self._bound.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._do(self._begin())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._home.stop()
        self.url = ""

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)

    def __repr__(self) -> str:
        return f"<Flaky {self.url or 'not running'}: {len(self.calls)} calls>"

    # ------------------------------------------------------------------ on its own thread

    def _set(self, script: tuple[Entry, ...], then: Entry) -> None:
        for entry in (*script, then):
            if not callable(entry):
                step_from(entry)
        self._script, self._then = list(script), then

    def _do(self, work: object) -> None:
        if not self.url:
            work.close()  # type: ignore[attr-defined]
            raise ConfigError("this flaky server is not running: use it inside its with block")
        self._home.run(work).result(5)  # type: ignore[arg-type]

    async def _begin(self) -> None:
        if not await self._refusing():
            await self._listen()

    async def _refusing(self) -> bool:
        """Whether the next step says that nobody listens; it has begun then."""
        if not self._script and isinstance(self._then, Refuse):
            self._script, self._then = [self._then], ok
        if not self._script or not isinstance(step := self._script[0], Refuse):
            return False
        del self._script[0]
        await self._shut()
        if step.seconds is not None:
            loop = asyncio.get_running_loop()
            self._later = loop.call_later(step.seconds, lambda: loop.create_task(self._begin()))
        return True

    async def _listen(self) -> None:
        self._forget_later()
        if self._server is None:
            assert self._bound is not None
            self._server = await asyncio.start_server(self._serve, sock=self._bound)

    async def _shut(self) -> None:
        self._forget_later()
        if self._server is not None:
            self._server.close()
            self._server = None
            self._bound = await self._hold()
        for writer in list(self._idle):
            writer.transport.abort()

    async def _hold(self) -> socket.socket:
        """The port, bound and not listened on: nobody else gets it meanwhile."""
        for _ in range(200):
            try:
                return _bind(self.port)
            except OSError:  # some loops close sockets a moment later
                await asyncio.sleep(0.005)
        return _bind(self.port)

    async def _drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _close(self) -> None:
        self._forget_later()
        if self._server is not None:
            self._server.close()
        elif self._bound is not None:
            self._bound.close()
        self._server = self._bound = None
        await self._drop()
        await asyncio.sleep(0)

    def _forget_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            again = True
            while again:
                self._idle.add(writer)
                call = await _read(reader, writer)
                self._idle.discard(writer)
                if call is None:
                    break
                self.calls.append(call)
                step = self._next(call)
                # Before the answer, so that whoever has it finds nobody here.
                last = await self._refusing() or self._server is None or _wants_close(call)
                again = await step.play(Exchange(call, reader, writer, last))
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the other end has left, or sent what is no HTTP, or the server closes
        finally:
            self._idle.discard(writer)
            self._open.discard(writer)
            with contextlib.suppress(Exception):
                writer.close()

    def _next(self, call: Call) -> Step:
        entry = self._script.pop(0) if self._script else self._then
        if callable(entry):
            entry = entry(call)
        step = step_from(entry)
        if isinstance(step, Refuse):
            raise ConfigError("a request that is here cannot be refused any more; use reset()")
        return step


def _bind(port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


def _wants_close(call: Call) -> bool:
    return call.headers.get("connection", "").lower() == "close"


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call | None:
    """The next request; ``None`` if there is none. ValueError for what is no HTTP, or too much."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(_bounded(size, len(body)))
            await reader.readline()
        while (await reader.readline()).strip():
            pass  # trailers
    elif length := headers.get("content-length"):
        body = await reader.readexactly(_bounded(int(length)))
    return Call(method, path, headers, body)


def _bounded(size: int, before: int = 0) -> int:
    if not 0 <= size <= LARGEST - before:
        raise ValueError(f"a body of more than {LARGEST} bytes")
    return size
