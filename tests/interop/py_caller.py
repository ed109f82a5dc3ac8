"""A program that calls services by name, told what to do by line: ``call NAME PATH``, ``known``, ``end``."""

import asyncio
import json
import sys

import resilient
from resilient.aiohttp import session


def say(did: str, **what: object) -> None:
    print(json.dumps({"did": did, **what}, separators=(",", ":")), flush=True)


async def call(service: str, path: str) -> None:
    try:
        async with session().get(f"http://{service}{path}") as response:
            say("call", status=response.status, body=await response.text())
    except Exception as error:
        say("call", error=repr(error))


async def main() -> None:
    loop = asyncio.get_running_loop()
    runtime = resilient.current()
    runtime.start()
    await runtime.ready(30)
    say("ready")
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, *rest = line.split()
        if command == "call":
            await call(*rest)
        elif command == "known":
            found = {
                name: [{"url": one.url, "status": one.status.value} for one in members]
                for name, members in runtime.directory.services.items()
            }
            say("known", services=found)
        elif command == "end":
            break
    await session().close()


asyncio.run(main())
