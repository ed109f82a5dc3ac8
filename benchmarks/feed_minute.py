"""What a minute costs a client, by the number of instances it knows: ``python -m benchmarks.feed_minute``.

A service that is registered and reads the feed, in a process of its own. Its minute is made shorter, not
emptier: within :data:`SECONDS` it sends its two heartbeats, makes its one safety poll and hears of ten
changes.
Only CPU is counted, and waiting costs none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time

from .registry_load import flood, post, serving
from .registry_serve import TOKEN, registration

SECONDS = 6.0
CHANGES = 10
#: CPU with 100,000 instances, at most so many times that with 100.
BUDGET = 1.2


def reader() -> None:
    """The client: for each line on standard input, one with its CPU seconds and what it knows."""
    from resilient.discovery import polling
    from resilient.model import Instance
    from resilient.runtime import Runtime
    from resilient.settings import Settings

    polling.SAFETY = SECONDS
    settings = Settings.load(None, mdns=False, fetch_interval=1.0)
    me = Instance(service="reader", id="reader-1", host="127.0.0.1", port=1, renew_every=SECONDS / 2)
    with Runtime(settings=settings) as runtime:
        runtime.register(me)
        runtime.wait(60)
        for _ in sys.stdin:
            discovery = runtime.discovery
            assert discovery is not None
            print(
                json.dumps(
                    {
                        "cpu": time.process_time(),
                        "live": discovery.live,
                        "known": len(runtime.directory),
                        "fetches": discovery._poller.fetches,
                        "beats": dict(discovery.heartbeats),
                        "changes": discovery._feeder.report()["changes"],
                    }
                ),
                flush=True,
            )


class _Reader:
    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from benchmarks.feed_minute import reader; reader()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "RESILIENT_REGISTRY": f"http://any:{TOKEN}@127.0.0.1:{port}/eureka/",
            },
        )

    def _ask(self) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        said: dict[str, object] = json.loads(self._process.stdout.readline())
        return said

    async def ask(self) -> dict[str, object]:
        return await asyncio.to_thread(self._ask)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


async def minute(size: int, rounds: int = 3, services: int = 200) -> float:
    """CPU seconds of a client's minute with ten changes, among so many instances: the median of some."""
    rng = random.Random(size)
    with serving("ours", 2 * size + 1000) as server:
        for at in range(0, size, 10_000):
            await server.do("fill", **{"from": at, "to": min(size, at + 10_000), "services": services})
        await server.do("forget changes")  # else the poll is told of all these as changes
        client = _Reader(server.port)
        spent = []
        try:
            while not (said := await client.ask())["live"] or said["known"] < size:  # type: ignore[operator]
                await asyncio.sleep(0.2)
            for number in range(-1, rounds):
                before = await client.ask()
                for _ in range(CHANGES):
                    one = registration(rng.randrange(size), services)
                    body = json.dumps({"instance": {**one, "metadata": {"v": str(time.time_ns())}}}).encode()
                    await flood(
                        server.port, [post(f"/eureka/apps/{one['app']}", body)], 1, lambda s: s != 204
                    )
                    await asyncio.sleep(SECONDS / CHANGES)
                after = await client.ask()
                if after["changes"] - before["changes"] < CHANGES:  # type: ignore[operator]
                    raise AssertionError(f"not every change was heard: {before} {after}")
                if after["fetches"]["full"] != before["fetches"]["full"]:  # type: ignore[index]
                    raise AssertionError("everything was read again")
                if number >= 0:  # the first one opens what stays open
                    spent.append(after["cpu"] - before["cpu"])  # type: ignore[operator]
        finally:
            client.end()
    return statistics.median(spent)


def main(argv: list[str] | None = None) -> int:
    """The exit code: 1 if a large directory costs too much more than a small one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed_minute", description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    small = asyncio.run(minute(100, options.rounds, min(100, options.services)))
    large = asyncio.run(minute(options.size, options.rounds, options.services))
    print(f"a client's minute with {CHANGES} changes, CPU: {small * 1e3:.1f} ms among 100 instances,")
    print(f"{large * 1e3:.1f} ms among {options.size:,} of {options.services} services")
    print(f"that is {large / small:.2f} times, at most {BUDGET:g}")
    return 1 if large / small > BUDGET else 0


if __name__ == "__main__":
    sys.exit(main())
