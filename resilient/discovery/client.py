"""Eureka's REST calls, over the first address that answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from ..background import off_loop
from ..clock import SYSTEM, Clock
from ..errors import RegistryRefused, RegistrySilent, WireError
from ..eureka.fields import registration
from ..eureka.json import Page
from ..eureka.long import read_long
from ..model import Instance, Status
from ..settings import RegistryAddress
from .lease import Answer
from .resolver import Resolver
from .stream import Stream

#: Addresses asked per call, at most.
ATTEMPTS = 3
#: Larger answers are not read to the end, in bytes, unpacked: a quarter of a million usual instances.
LARGEST = 256 * 1024 * 1024
#: A failed address is asked after all others for so long, in seconds.
QUARANTINE = 30.0
#: After so long, drawn anew each time, another address may be chosen, so that load spreads again.
SESSION = (600.0, 1800.0)
#: A registry that has no place for circuits, or does not let us, is not bothered for so long.
NO_CIRCUITS = 300.0
NOT_ALLOWED = 60.0

_QUICK = aiohttp.ClientTimeout(total=5.0, connect=1.0, sock_read=5.0)
_OPEN_ENDED = aiohttp.ClientTimeout(total=None, connect=1.0)
_ANSWER_WITHIN = 5.0
#: A full list may take long: what counts is the time between two bytes (s), at first and, after lists that
#: came too late, at most.
FIRST_BYTE, LATEST_BYTE = 5.0, 60.0
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "resilient"}
# Parsing more than this is done beside the loop; packed bytes are a twentieth of what they unpack to.
_PARSE_HERE, _PARSE_PACKED = 128 * 1024, 8 * 1024
_LATE = "no answer in time"


class Listed(NamedTuple):
    """A list from a registry, which one gave it, and the place in its feed; ``""`` if it has none."""

    source: str
    page: Page
    position: str = ""


@dataclass(slots=True)
class _Door:
    address: RegistryAddress
    failed_at: float = float("-inf")
    no_circuits_until: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Reply:
    url: str
    status: int
    body: bytes = b""
    page: Page | None = None
    position: str = ""


class RegistryClient:
    """One registry at one or several addresses. The last good one is asked first, failed ones last.

    Calls raise `RegistrySilent` if no address answers and `RegistryRefused` if one answers with a
    status that means no. Each address gets one second to connect and five to answer; a full list five until
    it begins and between any two parts of it, and twice as many after each that came too late.
    """

    def __init__(
        self,
        addresses: Iterable[RegistryAddress | str],
        *,
        zone: str = "",
        clock: Clock = SYSTEM,
        rng: Random | None = None,
    ) -> None:
        self._clock = clock
        self._rng = rng or Random()
        self._zone = zone
        self._doors = [
            _Door(one if isinstance(one, RegistryAddress) else RegistryAddress.parse(one))
            for one in addresses
        ]
        if not self._doors:
            raise ValueError("a registry client needs an address")
        self._good: _Door | None = None
        self._choose_again = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._resolver = Resolver()
        self._patience = FIRST_BYTE
        self._spread()

    @property
    def connected_url(self) -> str:
        """The address that answered last, ``""`` if none does."""
        return self._good.address.url if self._good else ""

    @property
    def urls(self) -> list[str]:
        """All addresses in the order in which they would be asked now; no credentials among them."""
        return [door.address.url for door in self._order()]

    # -- a registration ---------------------------------------------------------------------------

    async def register(self, instance: Instance) -> Answer:
        """Sign in. Only 204 means that it was taken."""
        body = orjson.dumps(registration(instance))
        reply = await self._ask("POST", f"apps/{_app(instance.service)}", body=body, also=(404,))
        return Answer.TAKEN if reply.status == 204 else Answer.REFUSED

    async def renew(self, instance: Instance) -> Answer:
        """Renew the lease. 404 is `Answer.UNKNOWN`, whatever its body."""
        query = {"status": instance.status.value, "lastDirtyTimestamp": str(instance.dirty_at)}
        reply = await self._ask("PUT", _path(instance.service, instance.id), query, also=(404,))
        return Answer.UNKNOWN if reply.status == 404 else Answer.TAKEN

    async def cancel(self, service: str, id: str) -> Answer:
        """Sign out. `Answer.UNKNOWN` if it was not there any more."""
        reply = await self._ask("DELETE", _path(service, id), also=(404,))
        return Answer.UNKNOWN if reply.status == 404 else Answer.TAKEN

    async def set_status(self, service: str, id: str, status: Status) -> Answer:
        """Override an instance's status; an operator's act."""
        query = {"value": status.value}
        reply = await self._ask("PUT", _path(service, id) + "/status", query, also=(404,))
        return Answer.UNKNOWN if reply.status == 404 else Answer.TAKEN

    async def clear_status(self, service: str, id: str) -> Answer:
        """Take an override back."""
        reply = await self._ask("DELETE", _path(service, id) + "/status", also=(404,))
        return Answer.UNKNOWN if reply.status == 404 else Answer.TAKEN

    # -- lists ------------------------------------------------------------------------------------

    async def full(self, elsewhere: str = "") -> Listed:
        """Everything. ``elsewhere`` is an address to ask last, for a second opinion."""
        patience = self._patience
        timeout = aiohttp.ClientTimeout(total=60 * patience, connect=1.0, sock_read=patience)
        try:
            listed = await self._list("apps", elsewhere, timeout)
        except RegistrySilent as silent:
            if any(reason == _LATE for _, reason in silent.tried):
                self._patience = min(2 * patience, LATEST_BYTE)
            raise
        self._patience = FIRST_BYTE
        return listed

    async def delta(self) -> Listed:
        """What changed in the last minutes. `RegistryRefused` if the registry has no such thing."""
        return await self._list("apps/delta", "", _QUICK)

    @asynccontextmanager
    async def feed(self, source: str, query: Mapping[str, str], last: str) -> AsyncIterator[Stream]:
        """Open the feed of the registry at ``source``, to go on after ``last``. aiohttp's errors pass."""
        door = next((one for one in self._doors if one.address.url == source), None)
        if door is None:
            raise RegistrySilent([(source, "no longer one of the addresses")])
        # Compressed, single events would wait for company.
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Last-Event-ID": last}
        if door.address.authorization:
            headers["Authorization"] = door.address.authorization
        url = URL(f"{door.address.root}/resilient/v1/feed?{urlencode(query)}", encoded=True)
        response = await asyncio.wait_for(
            self._open().get(url, headers=headers, timeout=_OPEN_ENDED, allow_redirects=False),
            _ANSWER_WITHIN,
        )
        try:
            yield Stream(response)
        finally:
            response.close()  # there is always more to come: the connection is of no use to anybody else

    # -- circuits ---------------------------------------------------------------------------------

    async def post_circuits(self, payload: object) -> bool:
        """Tell the registry about our circuits; whether it took them. Best effort, raises nothing.

        ``payload`` is bytes of JSON or whatever orjson can write. Only the registry that answered last
        is told; one that has no place for circuits is left alone for five minutes.
        """
        door = self._good
        if door is None or self._clock.monotonic() < door.no_circuits_until:
            return False
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        url = URL(door.address.root + "/resilient/v1/circuits", encoded=True)
        try:
            reply = await self._send(door, "POST", url, body, _QUICK)
        except (aiohttp.ClientError, OSError, TimeoutError, WireError):
            return False
        if reply.status in (404, 405, 501):
            door.no_circuits_until = self._clock.monotonic() + NO_CIRCUITS
        elif reply.status in (401, 403):
            door.no_circuits_until = self._clock.monotonic() + NOT_ALLOWED
        return 200 <= reply.status < 300

    async def close(self) -> None:
        """Close the connections. The client opens new ones if it is asked again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._resolver.close()

    # -- how a call goes out ----------------------------------------------------------------------

    async def _list(self, path: str, elsewhere: str, timeout: aiohttp.ClientTimeout) -> Listed:
        # A refused delta is no fault of the registry: some have none, and all can be read instead.
        fine = (403, 404) if path == "apps/delta" else ()
        reply = await self._ask("GET", path, timeout=timeout, parse=True, elsewhere=elsewhere, also=fine)
        if reply.page is None:
            raise RegistryRefused(reply.url, reply.status)
        return Listed(reply.url, reply.page, reply.position)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        also: tuple[int, ...] = (),
        timeout: aiohttp.ClientTimeout = _QUICK,
        parse: bool = False,
        elsewhere: str = "",
    ) -> _Reply:
        """Ask one address after another. ``also`` are statuses beside 2xx that speak for the registry."""
        tail = path + ("?" + urlencode(query) if query else "")
        tried: list[tuple[str, str]] = []
        refused: RegistryRefused | None = None
        for door in self._order(elsewhere)[:ATTEMPTS]:
            url = URL(door.address.url + tail, encoded=True)
            try:
                reply = await self._send(door, method, url, body, timeout, parse=parse)
            except (aiohttp.ClientError, OSError, TimeoutError, WireError) as error:
                tried.append((door.address.url, why(error)))
            else:
                if 200 <= reply.status < 300 or reply.status in also:
                    self._worked(door)
                    return reply
                refused = RegistryRefused(door.address.url, reply.status, _meaning(reply.status))
                tried.append((door.address.url, f"status {reply.status}"))
            self._failed(door)
        # A status says more than silence: it is the registry's own word.
        raise refused or RegistrySilent(tried)

    async def _send(
        self,
        door: _Door,
        method: str,
        url: URL,
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,
        *,
        parse: bool = False,
    ) -> _Reply:
        try:
            return await self._send_once(door, method, url, body, timeout, parse)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise
            # A connection kept from before had been closed at the other end. All our calls bear repeating.
            return await self._send_once(door, method, url, body, timeout, parse)

    async def _send_once(
        self,
        door: _Door,
        method: str,
        url: URL,
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,
        parse: bool,
    ) -> _Reply:
        headers: dict[str, str] = {}
        if door.address.authorization:
            headers["Authorization"] = door.address.authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with self._open().request(
            method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            if not (parse and response.status == 200):
                # A body that matters to nobody: only so much is read as lets the connection be kept.
                await _read(response, 64 * 1024)
                return _Reply(door.address.url, response.status)
            read = await _read(response, LARGEST)
            encoding = response.headers.get("Content-Encoding", "")
            position = response.headers.get("Resilient-Position", "")[:128]
        parsed = partial(read_long, read, encoding, most=LARGEST)
        page = (
            parsed() if len(read) < (_PARSE_PACKED if encoding else _PARSE_HERE) else await off_loop(parsed)
        )
        return _Reply(door.address.url, response.status, page=page, position=position)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=16, ttl_dns_cache=10, resolver=self._resolver)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_QUICK,
                trust_env=False,
                auto_decompress=False,  # lists are unpacked while they are parsed, and no other body is read
            )
        return self._session

    # -- which address ----------------------------------------------------------------------------

    def _spread(self) -> None:
        """Put the addresses into an order of our own: the own zone first, else by lot."""
        self._rng.shuffle(self._doors)
        self._doors.sort(key=lambda door: not self._zone or door.address.zone != self._zone)
        self._choose_again = self._clock.monotonic() + self._rng.uniform(*SESSION)

    def _order(self, elsewhere: str = "") -> list[_Door]:
        now = self._clock.monotonic()
        if now >= self._choose_again:
            self._spread()
            well = [door for door in self._doors if now - door.failed_at >= QUARANTINE]
            self._good = well[0] if self._good and well else None

        def rank(door: _Door) -> tuple[bool, float, bool]:
            ill = now - door.failed_at < QUARANTINE
            return (
                door.address.url == elsewhere,
                door.failed_at if ill else float("-inf"),
                door is not self._good,
            )

        return sorted(self._doors, key=rank)

    def _worked(self, door: _Door) -> None:
        door.failed_at = float("-inf")
        self._good = door

    def _failed(self, door: _Door) -> None:
        door.failed_at = self._clock.monotonic()
        if self._good is door:
            self._good = None


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most:
            response.close()
            if response.status == 200 and most == LARGEST:
                raise WireError(f"the answer is larger than {most} bytes")
            return b""
        parts.append(part)
    return b"".join(parts)


def _app(service: str) -> str:
    return quote(service.upper(), safe="")


def _path(service: str, id: str) -> str:
    return f"apps/{_app(service)}/{quote(id, safe='')}"


def why(error: BaseException) -> str:
    """A few words of our own: what libraries say may hold the URL, and what servers say is not ours."""
    if isinstance(error, WireError):
        return f"the answer makes no sense: {error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found"
    if isinstance(error, TimeoutError):
        return _LATE
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio words it differently each time; the number says it plainly.
        return os.strerror(error.os_error.errno).lower() if error.os_error.errno else "cannot connect"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    return type(error).__name__


def _meaning(status: int) -> str:
    if status in (401, 403):
        return "it wants a token: put it into the URL (http://user:token@host) or into RESILIENT_TOKEN"
    return ""
