"""A small HTTP server that misbehaves by script."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

from ..background import BackgroundLoop
from ..errors import ConfigError
from .script import Call, Entry, Exchange, Refuse, Step, answer, ok, step_from

#: The most bytes of one request's body.
LARGEST = 16 * 1024 * 1024


def flaky(*script: Entry, then: Entry = ok) -> Flaky:
    """One instance of a service, for ``with`` or ``async with``: ``with flaky(answer(503)) as one: ...``.

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
        self._listening = False
        self._later: asyncio.TimerHandle | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._idle: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mistake: Exception | None = None
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
        if self._mistake is not None and kind is None:
            raise self._mistake

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

    def _do(self, work: Coroutine[object, object, None]) -> None:
        if not self.url:
            work.close()
            raise ConfigError("this flaky server is not running: use it inside its with block")
        done = self._home.run(work)
        with contextlib.suppress(RuntimeError):  # no loop runs here
            if asyncio.get_running_loop() is self._home.loop:
                return  # asked by a function of the script: it happens as soon as that has returned
        done.result(5)

    async def _begin(self) -> None:
        if self._bound is not None and not await self._refusing():
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
            self._later = loop.call_later(step.seconds, lambda: self._spawn(self._begin()))
        return True

    async def _listen(self) -> None:
        self._forget_later()
        if self._bound is not None and not self._listening:
            self._listening = True
            self._bound.listen(100)
            # Not asyncio's own server: closed at the wrong moment, it loses connections it has accepted.
            asyncio.get_running_loop().add_reader(self._bound, self._accept, self._bound)

    async def _shut(self) -> None:
        self._forget_later()
        if self._listening:
            self._stop_listening()
            self._bound = await self._hold()
        for writer in list(self._idle):
            writer.transport.abort()

    def _stop_listening(self) -> None:
        assert self._bound is not None
        self._listening = False
        asyncio.get_running_loop().remove_reader(self._bound)
        self._bound.close()

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
        if self._listening:
            self._stop_listening()
        elif self._bound is not None:
            self._bound.close()
        self._bound = None
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await self._drop()
            await asyncio.wait(self._tasks, timeout=0.05)

    def _forget_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:  # it has left already
            return
        connection.setblocking(False)
        self.connections += 1
        self._spawn(self._serve(connection)).add_done_callback(lambda _: connection.close())

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
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
                last = await self._refusing() or not self._listening or _wants_close(call)
                again = await step.play(Exchange(call, reader, writer, last))
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the other end has left, or sent what is no HTTP, or the server closes
        finally:
            self._idle.discard(writer)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            self._open.discard(writer)

    def _next(self, call: Call) -> Step:
        entry = self._script.pop(0) if self._script else self._then
        try:
            step = step_from(entry(call) if callable(entry) else entry)
            if isinstance(step, Refuse):
                raise ConfigError("a request that is here cannot be refused any more; use reset()")
        except Exception as mistake:  # in the test, whose with block raises it at its end
            self._mistake = self._mistake or mistake
            return answer(500, "the script of this server has a mistake")
        return step


def _bind(port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.setblocking(False)
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
