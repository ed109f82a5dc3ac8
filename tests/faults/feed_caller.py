"""Calls ``orders`` all the time and tells about the feed; ends with one line of JSON when told to."""

import asyncio
import json
import sys
import threading

from resilient import Runtime
from resilient.aiohttp.client import make_session
from resilient.events import FeedChanged, RegistryChanged

told = threading.Event()


def hear(event: FeedChanged | RegistryChanged) -> None:
    print(f"{type(event).__name__} {event.what}", flush=True)


async def main(rate: float) -> None:
    errors: list[str] = []
    made = 0
    runtime = Runtime()
    runtime.events.subscribe(hear, FeedChanged, RegistryChanged)
    async with runtime, make_session() as http:
        print("ready", flush=True)
        while not told.is_set():
            made += 1
            try:
                async with http.get(f"http://orders/orders/{2 * made + 1}") as response:
                    if response.status != 200:
                        errors.append(str(response.status))
                    await response.read()
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(1 / rate)
    print(json.dumps({"made": made, "errors": errors[:5]}), flush=True)


threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
asyncio.run(main(float(sys.argv[1])))
