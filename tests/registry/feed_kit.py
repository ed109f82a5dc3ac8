"""A directory without a server, its feed, and readers that only follow."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from registry_server.engine import instance_key
from registry_server.feed.hub import Feed
from registry_server.feed.reader import Reader, Wish
from registry_server.registry import Registry
from resilient.clock import ManualClock
from resilient.eureka.fingerprint import apps_hash
from resilient.model import Instance, Status
from resilient.telemetry.sse import Parser


class House:
    """A registry and its feed; time stands still."""

    def __init__(self, **caps: int) -> None:
        self.clock = ManualClock()
        self.registry = Registry(clock=self.clock)
        self.feed = Feed(self.registry, "e0")
        for name, value in caps.items():
            setattr(self.feed.ring, name, value)
        self._stamp = 0

    async def put(self, service: str, id: str, status: Status = Status.UP, **metadata: str) -> None:
        self._stamp += 1
        await self.registry.register(
            Instance(
                service=service,
                id=id,
                host="h",
                port=1,
                status=status,
                metadata=metadata,
                dirty_at=self._stamp,
            )
        )

    async def drop(self, service: str, id: str) -> None:
        await self.registry.cancel(service, id)

    def truth(self, services: frozenset[str] | None = None) -> dict[tuple[str, str], str]:
        table = self.registry.table
        return {
            (service, id): lease.record.instance.status.value
            for service in table.services()
            if services is None or service in services
            for id, lease in table.leases(service).items()
        }

    @property
    def fingerprint(self) -> str:
        return apps_hash(self.registry.table.counts)

    def key(self, service: str, id: str) -> str:
        return instance_key(service, id)


class Follower:
    """What a client makes of the events. ``position`` is the last id it was given."""

    def __init__(self, services: frozenset[str] | None = None) -> None:
        self.services = services
        self.position = ""
        self.instances: dict[tuple[str, str], str] = {}
        self.seen: list[str] = []
        self.hello: dict[str, Any] = {}
        self.ready = False
        self.mismatches = 0
        self._coming: dict[tuple[str, str], str] | None = None
        self._parser = Parser()

    def feed(self, piece: bytes) -> None:
        for message in self._parser.feed(piece):
            self.take(message.name, json.loads(message.data), message.id)

    def take(self, name: str, data: dict[str, Any], position: str = "") -> None:
        self.seen.append(name)
        if position:
            self.position = position
        if name == "hello":
            self.hello = data
            self._coming = None
        elif name == "reset":
            self._coming = {}
            self.ready = False
        elif name == "service":
            if self._coming is None:
                self._coming = {}
            for one in data["instances"]:
                self._coming[data["service"], one["instanceId"]] = one["status"]
        elif name == "ready":
            self.instances = self._coming or {}
            self._coming = None
            self.ready = True
        elif name == "change":
            self.apply(data)

    def apply(self, data: dict[str, Any]) -> None:
        key = (data["service"], data["id"])
        assert data["instance"]["instanceId"] == data["id"]
        assert data["instance"]["actionType"] == data["action"]
        assert ("hash" in data) is (self.services is None)
        if data["action"] == "DELETED":
            self.instances.pop(key, None)
        else:
            self.instances[key] = data["instance"]["status"]

    def drain(self, reader: Reader, most: int = 10**9) -> int:
        """Take what is there."""
        for count in range(most):
            piece = reader.next()
            if piece is None:
                return count
            self.feed(piece)
        return most


@contextlib.asynccontextmanager
async def joined(house: House, **wish: Any) -> AsyncIterator[Reader]:
    reader = house.feed.join(Wish(**wish))
    try:
        yield reader
    finally:
        house.feed.leave(reader)


async def turns(count: int = 3) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
