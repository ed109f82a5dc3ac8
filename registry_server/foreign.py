"""Reading the Hystrix streams of services that are not ours, while somebody looks at circuits.

A service asks for it by the metadata ``hystrix.stream``: the path of its stream. Nothing else of what it
registered is used but its own IP address and port. This is the only place where a registry connects to
somebody who registered, so everything has a bound, and whatever looks odd ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import aiohttp
from aiohttp import hdrs
from yarl import URL

from resilient.clock import Clock
from resilient.errors import WireError
from resilient.model import Action, Instance
from resilient.telemetry.sse import Parser

from .foreign_rows import ForeignRows, read_event
from .records import Change

_log = logging.getLogger("resilient.registry")

KEY = "hystrix.stream"
#: Streams read at once, and instances that may wait for a place.
MOST, MOST_WAITING = 200, 10_000
#: Bytes of one line, and of one stream in a second.
LINE, PER_SECOND = 32 * 1024, 1024 * 1024
#: Seconds to connect and get an answer's head, and for which a stream may be quiet.
CONNECT, QUIET = 3.0, 10.0
#: Seconds to wait before the next attempt: the first time, and at most. Each is drawn from the upper half.
AGAIN, LONGEST = 2.0, 60.0
#: What a stream may be called: a path of few plain parts.
_PATH = re.compile(r"/(?:[A-Za-z0-9_-]{1,50}/){0,4}hystrix\.stream")


class Odd(Exception):
    """It is no stream that is read here."""


@dataclass(slots=True)
class Source:
    """A stream: whose it is, and where."""

    service: str
    instance: str
    url: URL
    host: str
    error: str = ""


def source_of(instance: Instance, *, loopback: bool) -> Source | None:
    """Where an instance's stream is; None if it has none, or none that may be asked for."""
    path = instance.metadata.get(KEY, "")
    if not _PATH.fullmatch(path) or not 0 < instance.port < 65536:
        return None
    try:
        address = ipaddress.ip_address(instance.address)
    except ValueError:
        return None  # names may mean another address a moment later
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return None
    if address.is_loopback:
        if not loopback:
            return None
    elif address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return None
    scheme = "https" if instance.secure else "http"
    url = URL.build(scheme=scheme, host=str(address), port=instance.port, path=path, query={"delay": "1000"})
    return Source(instance.service, instance.id, url, instance.host)


class Foreign:
    """The readers. ``watched`` tells whether somebody looks, ``loopback`` whether instances on this machine's
    loopback address may be asked: only a registry that listens nowhere else does that."""

    def __init__(
        self,
        clock: Clock,
        rng: Random,
        *,
        watched: Callable[[], bool],
        loopback: Callable[[], bool],
        knows: Callable[[str], bool] = lambda name: False,
        most: int = MOST,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.rows = ForeignRows(knows)
        self._clock = clock
        self._rng = rng
        self._watched = watched
        self._loopback = loopback
        self._most = most
        self._sleep = sleep
        self._instances: dict[tuple[str, str], Instance] = {}
        self._readers: dict[tuple[str, str], tuple[Source, asyncio.Task[None]]] = {}
        self._session: aiohttp.ClientSession | None = None

    def heard(self, change: Change) -> None:
        """An instance came, changed or went."""
        if change.action is Action.DELETED:
            self._instances.pop((change.service, change.id), None)
        else:
            self.know(change.record.instance)

    def know(self, instance: Instance) -> None:
        """An instance is registered like this."""
        key = (instance.service, instance.id)
        if KEY not in instance.metadata:
            self._instances.pop(key, None)
        elif key in self._instances or len(self._instances) < MOST_WAITING:
            self._instances[key] = instance

    @property
    def sources(self) -> list[Source]:
        """The streams that are read, with what was wrong with each."""
        return [source for source, _ in self._readers.values()]

    def tick(self) -> None:
        """Once a second: begin and end streams."""
        if not self._instances and not self._readers and not len(self.rows):
            return
        wanted: dict[tuple[str, str], Source] = {}
        if self._watched():
            loopback = self._loopback()
            for key, instance in self._instances.items():
                if len(wanted) >= self._most:
                    break
                if (source := source_of(instance, loopback=loopback)) is not None:
                    wanted[key] = source
        for key, (source, task) in list(self._readers.items()):
            if key not in wanted or wanted[key].url != source.url:
                task.cancel()
                del self._readers[key]
                if key not in self._instances:
                    self.rows.forget(*key)
        for key, source in wanted.items():
            if key not in self._readers:
                task = asyncio.get_running_loop().create_task(self._follow(source), name="foreign stream")
                self._readers[key] = (source, task)
        self.rows.tick(self._clock.monotonic())

    async def close(self) -> None:
        """End all."""
        tasks = [task for _, task in self._readers.values()]
        self._readers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _follow(self, source: Source) -> None:
        failures = 0
        while True:
            before, source.error = source.error, ""
            began = self._clock.monotonic()
            try:
                await self._read(source)
                source.error = "it ended"
            except (Odd, WireError) as odd:
                source.error = str(odd)
            except TimeoutError:
                source.error = "nothing came in time"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                source.error = type(error).__name__
            if source.error != before:
                _log.info("the stream of %r cannot be read: %s", source.instance, source.error)
            failures = 0 if self._clock.monotonic() - began > LONGEST else failures + 1
            longest = min(LONGEST, AGAIN * 2 ** min(failures, 10))
            await self._sleep(longest * self._rng.uniform(0.5, 1.0))

    async def _read(self, source: Source) -> None:
        parser = Parser(LINE)
        clock = self._clock
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_connect=CONNECT, sock_read=QUIET)
        headers = {hdrs.ACCEPT: "text/event-stream", hdrs.ACCEPT_ENCODING: "identity"}
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT):
                response = await stack.enter_async_context(
                    self._open().get(
                        source.url,
                        allow_redirects=False,
                        timeout=timeout,
                        headers=headers,
                        server_hostname=source.host if source.url.scheme == "https" else None,
                    )
                )
            # Closed, not kept: what is left of an odd answer is not waited for.
            stack.callback(response.close)
            if response.status != 200:
                raise Odd(f"it answered {response.status}")
            if response.content_type != "text/event-stream" or hdrs.CONTENT_ENCODING in response.headers:
                raise Odd("it is no event stream")
            second, size = int(clock.monotonic()), 0
            async for chunk in response.content.iter_any():
                now = clock.monotonic()
                if int(now) != second:
                    second, size = int(now), 0
                size += len(chunk)
                if size > PER_SECOND:
                    raise Odd("it says too much")
                for message in parser.feed(chunk):
                    word = read_event(message.data, now)
                    if word is not None:
                        self.rows.take(source.service, source.instance, word)
                await asyncio.sleep(0)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={hdrs.USER_AGENT: "resilient-registry"},
                trust_env=False,
                read_bufsize=16 * 1024,
            )
        return self._session
