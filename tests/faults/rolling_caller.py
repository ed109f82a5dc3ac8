"""A calling process with a steady load of GETs and POSTs to ``orders``, until it is told to end.

Then it says as JSON what came of them, by whom they were answered, and how many needed a second try.
"""

import asyncio
import json
import sys
import time
from collections import Counter

from resilient import circuit, current
from resilient.aiohttp import session

outcomes: Counter[str] = Counter()
copies: Counter[str] = Counter()
errors: list[str] = []


@circuit("orders", fallback=lambda id: "fallback", timeout=20)
async def order(id: int) -> str:
    method = "GET" if id % 2 else "POST"
    body = None if id % 2 else b"x" * 2000
    try:
        async with session().request(method, f"http://orders/orders/{id}", data=body) as response:
            response.raise_for_status()
            await response.read()
            copies[response.headers["Copy"]] += 1
            return method
    except Exception as error:
        errors.append(f"{method} {error!r}"[:300])
        raise


async def one(id: int) -> None:
    try:
        outcomes[await order(id)] += 1
    except Exception as error:
        outcomes[f"error {error!r}"] += 1


async def main(rate: float) -> None:
    told = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    await current().ready()
    while not current().knows("orders") or len(current().instances("orders")) < 3:
        await asyncio.sleep(0.02)
    due, calls, made = time.monotonic(), set(), 0
    while not told.done():
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(one(made))
        made += 1
        if made == 30:
            print("ready", flush=True)
        calls.add(task)
        task.add_done_callback(calls.discard)
    await asyncio.gather(*calls)
    totals = current().balancer.totals("orders")
    found = {
        "made": made,
        "outcomes": outcomes,
        "copies": copies,
        "errors": errors[:20],
        "retries": totals.retries if totals else 0,
        "nodes": [(one.id, one.state, one.reason) for one in current().balancer.nodes("orders")],
    }
    print(json.dumps(found), flush=True)


asyncio.run(main(float(sys.argv[1])))
