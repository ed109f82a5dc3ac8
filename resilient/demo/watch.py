"""What the registry knows of the demo: who is there, who served, which circuits turned."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp

_LIMIT = aiohttp.ClientTimeout(total=3)


class Watch:
    """Reads the registry's own JSON twice a second."""

    def __init__(self, session: aiohttp.ClientSession, registry: str) -> None:
        self._session = session
        self._root = registry.split("/eureka")[0]
        self.services: dict[str, list[dict[str, Any]]] = {}
        self.states: dict[str, str] = {}
        self.seen: dict[str, set[str]] = {}
        self.ever: set[str] = set()

    def urls(self, service: str) -> list[str]:
        """Base URLs of the copies that are up."""
        return [one["url"] for one in self.services.get(service, []) if one["status"] == "UP"]

    def count(self) -> int:
        """Copies that are up, of all services."""
        return sum(len(self.urls(name)) for name in self.services)

    def turned(self, circuit: str, state: str) -> bool:
        """Whether a circuit of that name has turned to a state since it was last forgotten."""
        return state in self.seen.get(circuit, set())

    def forget(self, circuit: str) -> None:
        """A new scene begins for this circuit."""
        self.seen.pop(circuit, None)

    async def look(self) -> None:
        """Read once. A registry that does not answer changes nothing."""
        try:
            async with self._session.get(f"{self._root}/resilient/v1/services", timeout=_LIMIT) as answer:
                listed = await answer.json()
            async with self._session.get(f"{self._root}/resilient/v1/circuits", timeout=_LIMIT) as answer:
                circuits = await answer.json()
        except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
            return
        self.services = {one["name"]: one["instances"] for one in listed}
        for one in circuits:
            state = one["state"]
            seen = self.seen.setdefault(one["name"], set())
            if state in ("open", "half-open"):
                seen.add("open")
            elif "open" in seen:
                seen.add("closed")  # closed again: being closed from the start is no turn
                self.ever.add(one["name"])

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(0.5)

    async def until(self, there: Callable[[], bool], timeout: float) -> bool:
        """Wait until ``there()`` holds; False after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if there():
                return True
            await asyncio.sleep(0.1)
        return there()
