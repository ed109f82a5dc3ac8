"""A calling process: GETs to ``orders`` through a circuit and a session, and what came of them, as JSON."""

import asyncio
import json
import sys
import time
from collections import Counter

import aiohttp

from resilient import circuit, current
from resilient.aiohttp import make_session

outcomes: Counter[str] = Counter()
refused: list[tuple[float, float, int]] = []


class Counting(aiohttp.TCPConnector):
    """Notes when each refused connection was begun and refused, and to which port."""

    async def connect(self, req, traces, timeout):
        began = time.monotonic()
        try:
            return await super().connect(req, traces, timeout)
        except aiohttp.ClientConnectorError:
            refused.append((began, time.monotonic(), req.port))
            raise


async def main(seconds: float, rate: float) -> None:
    async with make_session(connector=Counting()) as http:

        @circuit("orders", default="fallback", timeout=2)
        async def order(id: int) -> str:
            async with http.get(f"http://orders/orders/{id}") as response:
                response.raise_for_status()
                await response.read()
                return "answer"

        async def one(id: int) -> None:
            try:
                outcomes[await order(id)] += 1
            except Exception as error:
                outcomes[f"error {error!r}"] += 1

        async def tell_used() -> None:
            """Which copy answers most of the calls just now."""
            await asyncio.sleep(1.0)
            before = {row["url"]: row["picks"] for row in current().balancer.view("orders")}
            await asyncio.sleep(0.5)
            after = {row["url"]: row["picks"] for row in current().balancer.view("orders")}
            print("used", max(after, key=lambda url: after[url] - before.get(url, 0)), flush=True)

        await current().ready()
        print("ready", flush=True)
        telling = asyncio.create_task(tell_used())
        begin = time.monotonic()
        calls = set()
        for n in range(round(seconds * rate)):
            await asyncio.sleep(max(0.0, begin + (n + 1) / rate - time.monotonic()))
            task = asyncio.create_task(one(len(calls)))
            calls.add(task)
        await asyncio.gather(*calls, telling)
        nodes = {
            row["url"]: [row["state"], row["why"], row["row"]] for row in current().balancer.view("orders")
        }
    first = min((ended for _, ended, _ in refused), default=0.0)
    print(
        json.dumps(
            {
                "outcomes": dict(outcomes),
                "refused": len(refused),
                "ports": sorted({port for *_, port in refused}),
                "after_first": sum(began > first for began, _, _ in refused),
                "nodes": nodes,
            }
        ),
        flush=True,
    )


asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
