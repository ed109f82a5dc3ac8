"""What the command line asks a registry: ours through ``/resilient/v1``, any other through Eureka's calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from ..discovery.client import RegistryClient, why
from ..discovery.locate import Located, locate
from ..errors import RegistryRefused, RegistrySilent, WireError
from ..eureka.json import parse
from ..eureka.limits import READING
from ..model import Instance, Status
from ..settings import RegistryAddress, Settings

T = TypeVar("T")
Row = Mapping[str, Any]

#: Larger answers are not read, in bytes.
LARGEST = 64 * 1024 * 1024
_QUICK = aiohttp.ClientTimeout(total=10.0, connect=2.0)
_HEADERS = {"Accept": "application/json", "User-Agent": "resilient"}


class Reply(NamedTuple):
    """One answer. ``seconds`` is how long it took."""

    address: RegistryAddress
    status: int
    body: bytes
    headers: Mapping[str, str]
    seconds: float


class Estate:
    """A registry with what it lists; several addresses are asked in turn.

    Everything raises `RegistrySilent` if no address answers, and `RegistryRefused` if one says no.
    """

    def __init__(self, located: Located, settings: Settings) -> None:
        self.located = located
        self._settings = settings
        self._session = aiohttp.ClientSession(
            headers=_HEADERS, timeout=_QUICK, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        #: The address that answered last.
        self.url = located.addresses[0].url
        #: Whether it is one of ours; ``None`` before it was asked.
        self.ours: bool | None = None

    @classmethod
    async def find(cls, settings: Settings) -> Self:
        """Look for the registry as services do. Raises `RegistryUnknown`."""
        return cls(await locate(settings), settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._session.close()

    # ------------------------------------------------------------------ what there is

    async def services(self) -> list[Row]:
        """Services with their instances, as ``/resilient/v1/services`` describes them."""
        found = await self.tool("services")
        if found is not None:
            return rows(found)
        client = RegistryClient(self.located.addresses, zone=self._settings.zone)
        try:
            listed = await client.full()
        except RegistryRefused as refused:
            raise self._refused(refused.url, refused.status) from None
        finally:
            await client.close()
        self.url = listed.source
        grouped: dict[str, list[Row]] = {}
        for _, instance in listed.page.entries:
            grouped.setdefault(instance.service, []).append(_row(instance))
        return [{"name": name, "instances": grouped[name]} for name in sorted(grouped)]

    async def circuits(self) -> list[Row] | None:
        """Every circuit of every caller; ``None`` if this registry keeps none."""
        found = await self.tool("circuits")
        return None if found is None else rows(found)

    async def tool(self, name: str) -> object | None:
        """What ``/resilient/v1/NAME`` says; ``None`` if the registry is not one of ours."""
        reply = await self._ask("GET", lambda one: f"{one.root}/resilient/v1/{name}")
        self.ours = reply.status == 200 and "json" in reply.headers.get("Content-Type", "")
        if self.ours:
            return parse(reply.body, READING)
        if reply.status in (401, 403, 429):
            raise self._refused(reply.address.url, reply.status)
        return None

    async def set_status(self, service: str, id: str, status: Status) -> bool:
        """Override a status, or (UP) take the override back; False if there is no such instance."""
        tail = f"apps/{quote(service.upper(), safe='')}/{quote(id, safe='')}/status?value={status.value}"
        method = "DELETE" if status is Status.UP else "PUT"
        reply = await self._ask(method, lambda one: one.url + tail)
        if reply.status == 404:
            return False
        if not 200 <= reply.status < 300:
            raise self._refused(reply.address.url, reply.status)
        return True

    async def greet(self, address: RegistryAddress) -> Reply:
        """Ask one address for something that every registry has and that costs it nothing."""
        return await self._send("GET", address, address.url + "apps/delta")

    async def knock(self, address: RegistryAddress) -> int:
        """The status for a heartbeat of an instance that does not exist: whether it may be sent at all."""
        reply = await self._send("PUT", address, address.url + "apps/RESILIENT-DOCTOR/nobody?status=UP")
        return reply.status

    # ------------------------------------------------------------------ how it is asked

    async def _ask(self, method: str, url_at: Any) -> Reply:
        tried: list[tuple[str, str]] = []
        for address in self.located.addresses:
            try:
                reply = await self._send(method, address, url_at(address))
            except (aiohttp.ClientError, OSError, TimeoutError, WireError) as error:
                tried.append((address.url, why(error)))
                continue
            if reply.status >= 500 and address is not self.located.addresses[-1]:
                tried.append((address.url, f"status {reply.status}"))
                continue
            self.url = address.url
            return reply
        raise RegistrySilent(tried)

    async def _send(self, method: str, address: RegistryAddress, url: str) -> Reply:
        headers = {"Authorization": address.authorization} if address.authorization else {}
        began = time.perf_counter()
        async with self._session.request(
            method, URL(url, encoded=True), headers=headers, allow_redirects=False
        ) as response:
            seconds = time.perf_counter() - began
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > LARGEST:
                    raise WireError(f"the answer is larger than {LARGEST} bytes")
            return Reply(address, response.status, b"".join(parts), response.headers, seconds)

    def _refused(self, url: str, status: int) -> RegistryRefused:
        given = any(one.url == url and one.authorization for one in self.located.addresses)
        return RegistryRefused(
            url, status, meaning(status, given=given, source=self._settings.source("token"))
        )


def meaning(status: int, *, given: bool, source: str) -> str:
    """What a refusal means and what helps, in one line."""
    origin = {"argument": "--token", "default": "the URL"}.get(source, source)
    if status == 401:
        if given:
            return (
                f"it does not know the token from {origin}; "
                "give the right one with --token or RESILIENT_TOKEN"
            )
        return "it wants a token; give it with --token or RESILIENT_TOKEN"
    if status == 403 and given:
        return (
            f"the token from {origin} is not enough: it only reads, or the registry was started without "
            "one and lets only its own machine do this; give the full one with --token or RESILIENT_TOKEN"
        )
    if status == 403:
        return (
            "from another machine this takes a token; start the registry with --token, and give the same "
            "one here with --token or RESILIENT_TOKEN"
        )
    return {429: "too many wrong tokens came from here; wait a minute"}.get(status, "")


def _row(instance: Instance) -> Row:
    overridden = instance.extra.get("overriddenStatus")
    return {
        "id": instance.id,
        "url": instance.url,
        "status": instance.status.value,
        "own_status": None,
        "overridden": overridden,
        "zone": instance.zone,
        "metadata": dict(instance.metadata),
        "registered_at": None,
        "renewed_ago": None,
        "expires_in": None,
        "late": None,
    }


# Readers of foreign JSON: what is not as expected is as if it were not there.


def rows(value: object) -> list[Row]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(row: Row, key: str) -> str:
    """A text, ``""`` if there is none."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def number(row: Row, key: str) -> float | None:
    """A number, ``None`` if there is none."""
    value = row.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def table_of(row: Row, key: str) -> Row:
    """An object, an empty one if there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop of its own."""
    return asyncio.run(work)
