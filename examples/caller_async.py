"""A caller: RESILIENT_REGISTRY=http://127.0.0.1:8761/eureka/ python examples/caller_async.py"""

import asyncio

from resilient import circuit
from resilient.aiohttp import session


@circuit(default=None, timeout=1)
async def order(id: int) -> dict | None:
    async with session().get(f"http://orders/orders/{id}") as response:
        response.raise_for_status()
        return await response.json()


async def main() -> None:
    for id in range(3):
        print(await order(id))
    await session().close()


asyncio.run(main())
