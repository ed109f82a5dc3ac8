"""A registry on a real socket with a clock that stands still, and short words for its requests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import aiohttp
from yarl import URL

from registry_server.app import RegistryApp, running
from registry_server.settings import Settings
from resilient.clock import ManualClock

JSON = {"Accept": "application/json"}
CENTRE = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}


def instance(**changes: Any) -> dict[str, Any]:
    """``i1`` of ORDERS; a None takes a member out."""
    tree: dict[str, Any] = {
        "instanceId": "i1",
        "hostName": "h1.example.net",
        "app": "ORDERS",
        "ipAddr": "10.0.0.1",
        "status": "UP",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 8443, "@enabled": "false"},
        "dataCenterInfo": CENTRE,
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
        "vipAddress": "orders",
        "secureVipAddress": "orders",
        "lastDirtyTimestamp": "1000",
    }
    tree.update(changes)
    return {key: value for key, value in tree.items() if value is not None}


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def empty(self) -> bool:
        return self.body == b"" and self.headers.get("Content-Length") == "0"


class Wire:
    """A client that sends paths as they are written."""

    def __init__(self, registry: RegistryApp, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.registry = registry
        self.clock = clock
        self.session = session
        self.base = f"http://127.0.0.1:{registry.port}"
        self.prefix = "/eureka/"

    async def ask(self, method: str, path: str, **kwargs: Any) -> Answer:
        path = path if path.startswith("/") else self.prefix + path
        async with self.session.request(
            method, URL(self.base + path, encoded=True), allow_redirects=False, **kwargs
        ) as got:
            return Answer(got.status, got.headers, await got.read())

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return await self.ask("GET", path, headers=JSON if headers is None else headers)

    async def put(self, path: str, **kwargs: Any) -> Answer:
        return await self.ask("PUT", path, **kwargs)

    async def delete(self, path: str, **kwargs: Any) -> Answer:
        return await self.ask("DELETE", path, **kwargs)

    async def post(self, tree: Any, app: str | None = None, **kwargs: Any) -> Answer:
        body = {"instance": tree}
        return await self.ask("POST", f"apps/{app or tree.get('app', 'ORDERS')}", json=body, **kwargs)

    async def register(self, **changes: Any) -> None:
        answer = await self.post(instance(**changes))
        assert (answer.status, answer.body) == (204, b"")

    async def one(self, path: str = "apps/ORDERS/i1") -> dict[str, Any]:
        answer = await self.get(path)
        assert answer.status == 200
        found: dict[str, Any] = answer.json()["instance"]
        return found

    async def apps(self, path: str = "apps") -> dict[str, Any]:
        answer = await self.get(path)
        assert answer.status == 200
        found: dict[str, Any] = answer.json()["applications"]
        return found

    async def listed(self, path: str = "apps") -> dict[str, dict[str, Any]]:
        apps = await self.apps(path)
        return {one["instanceId"]: one for app in apps["application"] for one in app["instance"]}

    async def sweep(self) -> int:
        return await self.registry.registry.sweep()


@contextlib.asynccontextmanager
async def wired(settings: Settings | None = None, seed: int = 1) -> AsyncIterator[Wire]:
    clock = ManualClock()
    async with running(settings or Settings(port=0, ui=False), clock=clock, rng=Random(seed)) as registry:
        # Time stands still, so the sweep is called by hand.
        assert registry._sweeper is not None
        registry._sweeper.cancel()
        async with aiohttp.ClientSession(
            skip_auto_headers=["Accept", "Accept-Encoding"], auto_decompress=False
        ) as s:
            yield Wire(registry, clock, s)
