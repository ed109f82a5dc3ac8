"""Several registries in one process, peers that record what they are told, and waiting for an outcome."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from registry_server.app import RegistryApp, running
from registry_server.peers.line import Timing
from registry_server.settings import Settings, read_settings
from resilient.model import Instance, Status

FAST = Timing(
    delay=0.02, transient=0.02, congested=0.04, most=0.1, connect=0.3, read=0.3, copy_again=0.02, refused=0.1
)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def url_of(port: int, user: str = "") -> str:
    return f"http://{user}127.0.0.1:{port}/eureka/"


def peered(port: int, *urls: str, timing: Timing = FAST, wait: float = 300, **more: Any) -> Settings:
    found = read_settings(port=port, peers=",".join(urls), env={})
    return Settings(port=port, ui=False, peers=found.peers, peer_timing=timing, peer_wait=wait, **more)


def make(id: str = "i1", service: str = "orders", dirty_at: int = 1000, **more: Any) -> Instance:
    return Instance(service=service, id=id, host="h", port=80, dirty_at=dirty_at, **more)


async def until(condition: Callable[[], bool], seconds: float = 2.0) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def ids(registry: RegistryApp, service: str = "orders") -> set[str]:
    return set(registry.registry.table.leases(service))


def status(registry: RegistryApp, id: str = "i1", service: str = "orders") -> Status | None:
    lease = registry.registry.table.get(service, id)
    return lease.record.instance.status if lease is not None else None


class Recorder:
    """Somebody else's registry: it answers batches as it is told to, and keeps them."""

    def __init__(self) -> None:
        self.port = 0
        self.batches: list[list[dict[str, Any]]] = []
        self.at: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.listed: list[dict[str, Any]] = []
        self.list_status = 200
        self.batch_status = 200
        self.entity: Callable[[dict[str, Any]], dict[str, Any]] = lambda item: {"statusCode": 200}

    @property
    def url(self) -> str:
        return url_of(self.port)

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for batch in self.batches for item in batch]

    def told(self, action: str) -> list[dict[str, Any]]:
        return [item for item in self.items if item["action"] == action]

    async def _batch(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.batches.append(json.loads(await request.read())["replicationList"])
        self.at.append(asyncio.get_running_loop().time())
        if self.batch_status != 200:
            return web.Response(status=self.batch_status)
        return web.json_response({"responseList": [self.entity(item) for item in self.batches[-1]]})

    async def _apps(self, request: web.Request) -> web.Response:
        applications = [{"name": "ORDERS", "instance": self.listed}] if self.listed else []
        body = {"applications": {"versions__delta": "1", "apps__hashcode": "", "application": applications}}
        return web.json_response(body, status=self.list_status)

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[Recorder]:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/eureka/peerreplication/batch/", self._batch)
        app.router.add_get("/eureka/apps", self._apps)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def recorded(
    recorder: Recorder | None = None, *, timing: Timing = FAST, **more: Any
) -> AsyncIterator[tuple[RegistryApp, Recorder]]:
    """A registry with one peer, which is a recorder that lists somebody, so that the start is over."""
    recorder = recorder or Recorder()
    recorder.listed = recorder.listed or [SOMEBODY]
    async with (
        recorder.serving(),
        running(peered(0, recorder.url, timing=timing, **more)) as registry,
    ):
        await until(lambda: registry.cluster.ready)
        yield registry, recorder


SOMEBODY: dict[str, Any] = {
    "instanceId": "copied",
    "hostName": "h9",
    "app": "ORDERS",
    "ipAddr": "10.0.0.9",
    "status": "UP",
    "dataCenterInfo": {"name": "MyOwn"},
    "lastDirtyTimestamp": "500",
}


@contextlib.asynccontextmanager
async def mesh(count: int, **more: Any) -> AsyncIterator[list[RegistryApp]]:
    """Registries that are each other's peers, open for reads."""
    ports = free_ports(count)
    urls = [url_of(port) for port in ports]
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running(peered(port, *urls, wait=0, **more))) for port in ports
        ]
