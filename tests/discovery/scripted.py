"""A registry that does what the test tells it: a small honest Eureka, which can be made to misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

from resilient.discovery.tasks import Discovery
from resilient.eureka.fields import Standing, tree
from resilient.eureka.fingerprint import apps_hash, count
from resilient.events import Event
from resilient.model import Action, Instance, Status

Answer = Callable[[web.Request], web.StreamResponse | None]


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def one(
    id: str, service: str = "orders", *, port: int = 80, dirty_at: int = 1, status: str = "UP", **more: Any
) -> Instance:
    return Instance(
        service=service,
        id=id,
        host="127.0.0.1",
        address="127.0.0.1",
        port=port,
        dirty_at=dirty_at,
        status=Status(status),
        **more,
    )


def listing(
    entries: list[tuple[Action, Instance]], version: str = "1", fingerprint: str | None = None
) -> bytes:
    """An ``applications`` document; the fingerprint is that of the entries unless given."""
    apps: dict[str, list[object]] = {}
    for action, instance in entries:
        apps.setdefault(instance.service.upper(), []).append(tree(instance, Standing(action=action)))
    if fingerprint is None:
        fingerprint = apps_hash(count(instance for _, instance in entries))
    document = {
        "versions__delta": version,
        "apps__hashcode": fingerprint,
        "application": [{"name": name, "instance": members} for name, members in apps.items()],
    }
    return json.dumps({"applications": document}).encode()


class Listener:
    """One reader of the feed, and how much it was told."""

    def __init__(self, stream: web.StreamResponse, place: int) -> None:
        self.write = stream.write
        self.place = place
        self.over = asyncio.Event()


class Scripted:
    """Keeps instances and recent changes; ``answer`` may answer any request in its place.

    ``calls`` are all requests as ``METHOD path?query``, without the base path.
    """

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.recent: list[tuple[Action, Instance]] = []
        self.version = 1
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.answer: Answer | None = None
        self.delay = 0.0  # seconds before a registration is looked at
        self.port = 0
        self.epoch = ""  # of the feed; without, there is none
        self.number = 0
        self.floor = 0
        self.frames: list[bytes] = []
        self.streams: list[Listener] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/eureka/"

    async def start(self) -> Scripted:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    def offer_feed(self, epoch: str = "e1") -> None:
        """From now on there is a feed; what is listed already came before it."""
        self.epoch = epoch

    @property
    def position(self) -> str:
        return f"{self.epoch}-{self.number}"

    async def say(self, name: str, data: object, id: str = "") -> None:
        """An event to all who listen."""
        line = f"id: {id}\n" if id else ""
        for stream in list(self.streams):
            await stream.write(f"{line}event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    async def flush(self) -> None:
        """What has changed, to all who listen: as the feed does by itself."""
        for stream in list(self.streams):
            for frame in self.frames[stream.place :]:
                await stream.write(frame)
            stream.place = len(self.frames)

    async def hang_up(self) -> None:
        """End all streams, in good order."""
        for stream in list(self.streams):
            stream.over.set()

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        listener = Listener(stream, len(self.frames))
        hello = {"epoch": self.epoch, "position": self.position, "heartbeat": 5.0, "watched": False}
        await stream.write(b"event: hello\ndata: " + json.dumps(hello).encode() + b"\n\n")
        epoch, _, number = request.headers.get("Last-Event-ID", "").partition("-")
        if epoch == self.epoch and self.floor <= int(number) <= self.number:
            listener.place = int(number)
        else:
            await stream.write(b"event: reset\nid: " + self.position.encode() + b'\ndata: {"reason":"x"}\n\n')
        self.streams.append(listener)
        await self.flush()
        try:
            await listener.over.wait()
        finally:
            self.streams.remove(listener)
        return stream

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def restart(self) -> None:
        """Forget everything and begin anew at the same address."""
        await self.stop()
        self.instances.clear()
        self.recent.clear()
        self.version = 1
        self.number, self.frames = 0, []
        if self.epoch:
            self.epoch += "x"
        await self.start()

    def put(self, instance: Instance) -> None:
        action = Action.MODIFIED if instance.id in self.instances else Action.ADDED
        self.instances[instance.id] = instance
        self._changed(action, instance)

    def drop(self, id: str) -> None:
        self._changed(Action.DELETED, self.instances.pop(id))

    def count(self, start: str) -> int:
        return sum(call.startswith(start) for call in self.calls)

    def full(self) -> bytes:
        return listing([(Action.ADDED, instance) for instance in self.instances.values()])

    def delta(self) -> bytes:
        return listing(self.recent, str(self.version), apps_hash(count(self.instances.values())))

    def _changed(self, action: Action, instance: Instance) -> None:
        self.recent.append((action, instance))
        self.version += 1
        if self.epoch:
            self.number += 1
            said = {
                "action": action.value,
                "service": instance.service,
                "id": instance.id,
                "hash": apps_hash(count(self.instances.values())),
                "instance": tree(instance, Standing(action=action)),
            }
            frame = f"event: change\nid: {self.position}\ndata: {json.dumps(said)}\n\n"
            self.frames.append(frame.encode())

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.removeprefix("/eureka/")
        self.calls.append(f"{request.method} {path}")
        self.headers.append(dict(request.headers))
        body = await request.read()
        self.bodies.append(body)
        if self.delay and request.method == "POST":
            await asyncio.sleep(self.delay)
        if self.answer is not None:
            answer = self.answer(request)
            if answer is not None:
                return answer
        if self.epoch and request.path == "/resilient/v1/feed":
            return await self._feed(request)
        return self._honest(request, path, body)

    def _honest(self, request: web.Request, path: str, body: bytes) -> web.Response:
        steps = path.partition("?")[0].split("/")
        if request.method == "GET" and path in ("apps", "apps/delta"):
            content = self.full() if path == "apps" else self.delta()
            headers = {"Resilient-Position": self.position} if self.epoch else {}
            return web.Response(body=content, content_type="application/json", headers=headers)
        if request.method == "POST" and path.startswith("apps/"):
            from resilient.eureka.json import read_instance

            self.put(read_instance(body, trusted=True))
            return web.Response(status=204)
        if len(steps) == 3:
            from urllib.parse import unquote

            id = unquote(steps[2])
            if id not in self.instances:
                return web.Response(status=404)
            if request.method == "DELETE":
                self.drop(id)
            return web.Response(status=200)
        return web.Response(status=404)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something that other tasks bring about; fails if it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


#: Seconds between two fetches, reports and heartbeats of a `Discovery` in tests.
INTERVAL = 0.05


def me(id: str = "me", renew_every: float = INTERVAL) -> Instance:
    return one(id, dirty_at=0, renew_every=renew_every)


def said(events: list[Event], kind: type[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, kind)]  # type: ignore[attr-defined]


def ids(discovery: Discovery) -> list[str]:
    return sorted(one.id for group in discovery.directory.services.values() for one in group)
