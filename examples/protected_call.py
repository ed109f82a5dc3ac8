"""A protected call, with no registry and no network: python examples/protected_call.py"""

import asyncio

from resilient import CircuitOpen, circuit

broken = True


@circuit(min_calls=5, reset_timeout=0.2, timeout=1)
async def price(sku: str) -> float:
    if broken:
        raise ConnectionError("prices is down")
    return 9.5


async def main() -> None:
    global broken
    for _ in range(7):
        try:
            print("price:", await price("anvil"))
        except CircuitOpen as refused:
            print(f"refused at once; next trial in {refused.retry_after:.1f} s")
        except ConnectionError as error:
            print("failed:", error)
    broken = False
    await asyncio.sleep(0.25)
    print("price:", await price("anvil"), "- the trial went well, the circuit is", price.state)


asyncio.run(main())
