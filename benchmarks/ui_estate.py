"""What the pages are measured on: a registry process with many instances, and processes that tell it of
their circuits once a second, with the messages that real ones send."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator

import aiohttp
import orjson

from resilient.circuits.policy import FAILURE

from .push import Load, registry

SERVICES, INSTANCES, CIRCUITS, SENDERS = 48, 2000, 500, 50
#: The service whose list is long, and how long.
LARGE = "large"
ZONES = ("eu-1a", "eu-1b", "eu-1c")
TOPICS = "services,circuits,changes,nodes"


class Sender(Load):
    """A process whose circuits are called a little differently each second; a few of them are in trouble."""

    def __init__(self, number: int) -> None:
        super().__init__(CIRCUITS // SENDERS, seed=number)
        self.number = number
        self.name = f"service-{number}" if number < SERVICES else f"front-{number}"
        self.random = random.Random(number)
        for circuit in self._circuits:
            circuit.target = f"service-{self.random.randrange(SERVICES)}"
        self.rates = [self.random.lognormvariate(2, 1) for _ in self._circuits]
        first = self._circuits[0]
        if number % 10 == 1:
            first.open(math.inf, reason="a broken card reader", by="operator")
        elif number % 5 == 0:
            first.open()  # and trials, once a while has passed
        self.first = self.message()

    def second(self) -> bytes:
        """The message after one more second of calls."""
        for circuit, rate in zip(self._circuits, self.rates, strict=True):
            with circuit.section:
                if circuit.take is not None:
                    calls = max(0, round(self.random.gauss(rate, math.sqrt(rate))))
                    circuit.window.fresh.extend(self.random.lognormvariate(-4, 0.6) for _ in range(calls))
                    if self.random.random() < 0.1:
                        circuit.window.add(FAILURE)
                circuit.look()
        return self.message()

    def message(self, interval: float = 1.0) -> bytes:
        return orjson.dumps(self.pusher.push(self.name, f"{self.name}-{self.number}", "w", interval))


class Estate:
    """``url`` of the registry, without a slash at its end; ``bytes`` and ``ticks`` one viewer was sent."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.bytes = self.ticks = 0
        self._rows: list[list[str]] = []

    async def register(self, service: str, numbers: range) -> None:
        """So many more instances of a service."""
        for start in range(0, len(numbers), 50):
            await asyncio.gather(*(self._one(service, number) for number in numbers[start : start + 50]))

    async def large(self) -> None:
        """One more service, whose list is long."""
        if self._rows[-1][0] != LARGE:
            await self.register(LARGE, range(INSTANCES))

    async def _one(self, service: str, number: int) -> None:
        id = f"{service}-{number}"
        instance = {
            "instanceId": id,
            "app": service.upper(),
            "hostName": f"10.20.{number // 250}.{number % 250}",
            "ipAddr": "127.0.0.1",
            "vipAddress": service,
            "status": "UP",
            "port": {"$": 8080, "@enabled": "true"},
            "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
            "metadata": {"version": f"4.{number % 2}", "zone": ZONES[number % 3], "rack": f"c-{number % 20}"},
        }
        path = f"{self.url}/eureka/apps/{service.upper()}"
        async with self.session.post(path, json={"instance": instance}) as answer:
            assert answer.status == 204, await answer.text()
        self._rows.append([service, id])

    async def renew(self) -> None:
        """A third of the heartbeats every ten seconds."""
        turn = 0
        while True:
            await asyncio.sleep(10)
            await self._send("renewals", orjson.dumps(self._rows[turn % 3 :: 3]), 200)
            turn += 1

    async def tell(self, sender: Sender) -> None:
        """A process tells of its circuits once a second."""
        message = sender.first
        due = time.monotonic() + sender.number / SENDERS
        while True:
            await self._send("circuits", message, 204)
            due += 1.0
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            message = sender.second()

    async def _send(self, path: str, body: bytes, status: int) -> None:
        headers = {"Content-Type": "application/json"}
        async with self.session.post(f"{self.url}/resilient/v1/{path}", data=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()

    async def watch(self) -> None:
        """Reads what the pages read, to count it."""
        async with self.session.get(f"{self.url}/ui/stream?topics={TOPICS}") as answer:
            async for chunk in answer.content.iter_any():
                self.bytes += len(chunk)
                self.ticks += chunk.count(b"event: tick")


@contextlib.asynccontextmanager
async def estate() -> AsyncIterator[Estate]:
    """All of it, running. Its circuits have told of themselves for some seconds."""
    with registry() as (url, _):
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            one = Estate(url, session)
            per = -(-INSTANCES // SERVICES)
            for number in range(SERVICES):
                await one.register(
                    f"service-{number}", range(number * per, min(INSTANCES, (number + 1) * per))
                )
            work = [one.renew(), one.watch(), *(one.tell(Sender(number)) for number in range(SENDERS))]
            tasks = [asyncio.create_task(each) for each in work]
            try:
                await asyncio.sleep(4)
                yield one
                for task in tasks:
                    if task.done():
                        task.result()  # it was not to end
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
