"""Says at once which instances of a service our client knows: python watch_ours.py SERVICE"""

import asyncio
import json
import sys

import resilient


async def main(service: str) -> None:
    runtime = resilient.current()
    runtime.start()
    await runtime.ready(60)
    print('{"did":"watching"}', flush=True)
    before: list[str] = []
    while True:
        known = sorted(one.id for one in runtime.directory.services.get(service, ()))
        if known != before:
            before = known
            print(
                json.dumps({"did": "seen", "by": "client", "ids": known}, separators=(",", ":")), flush=True
            )
        await asyncio.sleep(0.005)


asyncio.run(main(sys.argv[1]))
