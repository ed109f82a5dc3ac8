"""The HTTP calls to one peer, be it ours or Eureka's own server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import aiohttp
from yarl import URL

from resilient.background import off_loop
from resilient.errors import WireError
from resilient.eureka import json
from resilient.eureka.limits import READING
from resilient.eureka.long import read_long
from resilient.model import Instance
from resilient.settings import RegistryAddress

#: Bytes of a whole list, of the answer to a batch, and of a page of which only a word matters.
LARGEST_LIST = 256 * 1024 * 1024
LARGEST_ANSWER = 16 * 1024 * 1024
LARGEST_PAGE = 1024 * 1024
_PARSE_HERE = 256 * 1024

_BUSY = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How peers are told, in seconds.

    A batch waits ``delay`` for company. After a failure there is a pause that doubles up to ``most``: from
    ``transient`` if there was no connection, from ``congested`` if the peer was too busy; up to ``refused``
    if it does not let us. Changes other than
    registrations and heartbeats are worth telling for ``keep``, an operator's word on a status for
    ``keep_override``: no heartbeat makes up for that one. ``copy_again`` passes before peers
    that gave no list at the start are asked again, and ``whole`` is the time a list may take.
    """

    delay: float = 0.5
    transient: float = 0.1
    congested: float = 1.0
    most: float = 3.0
    refused: float = 30.0
    keep: float = 30.0
    keep_override: float = 3600.0
    connect: float = 1.0
    read: float = 5.0
    whole: float = 60.0
    copy_again: float = 1.0


class Trouble(Exception):
    """The peer was not reached. The words are our own; none of the peer's, and no credentials."""


class Congested(Trouble):
    """It was reached, and too busy to answer."""


class Line:
    """One peer's address, and what can be asked there."""

    def __init__(self, address: RegistryAddress, timing: Timing) -> None:
        self.address = address
        self.timing = timing
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if address.authorization:
            self._headers["Authorization"] = address.authorization
        self._session: aiohttp.ClientSession | None = None

    async def id(self) -> str:
        """The random id of a registry of our make; ``""`` for any other. Trouble if nobody answers."""
        id = (await self.node()).get("id")
        return id if isinstance(id, str) else ""

    async def node(self) -> Mapping[str, object]:
        """What a registry of our make says of itself; nothing for any other. Trouble if nobody answers."""
        status, body = await self._ask("GET", f"{self.address.root}/resilient/v1/node", most=LARGEST_PAGE)
        if status != 200:
            return {}
        try:
            found = json.parse(body, READING)
        except WireError:
            return {}
        return found if isinstance(found, dict) else {}

    async def everything(self) -> tuple[int, list[Instance]]:
        """The status of its answer, and all instances it lists; Trouble if it does not answer."""
        status, body = await self._ask("GET", f"{self.address.url}apps", most=LARGEST_LIST, list=True)
        if status != 200:
            return status, []
        try:
            if len(body) < _PARSE_HERE:
                page = read_long(body, most=LARGEST_LIST)
            else:
                page = await off_loop(partial(read_long, body, most=LARGEST_LIST))
        except WireError as error:
            raise Trouble(f"its list makes no sense: {error}") from None
        return status, [instance for _, instance in page.entries]

    async def send(self, batch: bytes) -> tuple[int, bytes]:
        """Tell a batch; status and body of the answer."""
        url = f"{self.address.url}peerreplication/batch/"
        status, body = await self._ask("POST", url, batch, most=LARGEST_ANSWER)
        if status in _BUSY:
            raise Congested(f"too busy (status {status})")
        return status, body

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(
        self, method: str, url: str, body: bytes | None = None, *, most: int, list: bool = False
    ) -> tuple[int, bytes]:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        timing = self.timing
        timeout = aiohttp.ClientTimeout(
            total=timing.whole if list else timing.connect + 2 * timing.read,
            sock_connect=timing.connect,
            sock_read=timing.read,
        )
        try:
            async with self._open().request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await _read(response, most)
        except aiohttp.ConnectionTimeoutError:
            raise Trouble("no connection in time") from None
        except TimeoutError:
            raise Congested("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Trouble(_why(error)) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=4, ttl_dns_cache=10),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "DiscoveryIdentity-Name": "DefaultServer",
                    "DiscoveryIdentity-Version": "1.0",
                    "DiscoveryIdentity-Id": "resilient",
                    "User-Agent": "resilient-registry",
                },
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most:
            response.close()
            raise Trouble(f"its answer is larger than {most} bytes")
        parts.append(part)
    return b"".join(parts)


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host name not found"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno).lower() if error.os_error.errno else "cannot connect"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    return type(error).__name__
