"""What watching costs a registry: the same work with nobody at the pages, and with many browsers.

``python -m benchmarks.ui_stream`` starts a registry with 2,000 instances and 500 circuits that are told of
once a second, and 50 streams that read everything the pages read. ``--short``: a look of a few seconds,
judged by the bytes and by what watching costs in times of what the registry does anyhow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import sys
import time
from typing import Any

import aiohttp

from .push import Load, cpu, registry

BROWSERS, INSTANCES, CIRCUITS, SENDERS = 50, 2000, 500, 50
#: Share of a core that watching may take, and bytes a second for one browser.
SHARE, BYTES = 0.15, 40_000
#: Times the work without browsers, in a short look.
TIMES = 5.0


async def _register(session: aiohttp.ClientSession, url: str) -> None:
    async def one(number: int) -> None:
        service = f"service-{number % 48}"
        body = {
            "instance": {
                "instanceId": f"{service}-{number}",
                "app": service.upper(),
                "hostName": "127.0.0.1",
                "ipAddr": "127.0.0.1",
                "vipAddress": service,
                "status": "UP",
                "port": {"$": 8080, "@enabled": "true"},
                "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
                "metadata": {"version": "1.0", "zone": f"z{number % 3}"},
            }
        }
        async with session.post(f"{url}/eureka/apps/{service.upper()}", json=body) as answer:
            assert answer.status == 204, await answer.text()

    for start in range(0, INSTANCES, 50):
        await asyncio.gather(*(one(number) for number in range(start, start + 50)))


async def _told(session: aiohttp.ClientSession, url: str, end: float) -> None:
    """Fifty processes with ten circuits each, all of them busy."""

    async def send(number: int) -> None:
        load = Load(CIRCUITS // SENDERS, seed=number)
        await asyncio.sleep(number / SENDERS)
        while time.monotonic() < end:
            load.call()
            body = load.message().replace(b"SENDER", b"sender-%d" % number)
            body = body.replace(b'"shop"', b'"shop-%d"' % number)
            async with session.post(
                f"{url}/resilient/v1/circuits", data=body, headers={"Content-Type": "application/json"}
            ) as answer:
                await answer.read()
            await asyncio.sleep(1.0)

    await asyncio.gather(*(send(number) for number in range(SENDERS)))


async def measure(seconds: float, browsers: int = BROWSERS, rest: float = 3.0) -> dict[str, Any]:
    """Shares of a core without and with browsers, the bytes one of them gets in a second, and how late
    the loop was (ms), without browsers and while they join and look; other programs' turns are in that."""
    with registry() as (url, pid):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await _register(session, url)
            end = time.monotonic() + 2 * (seconds + rest) + 2
            told = asyncio.create_task(_told(session, url, end))
            await asyncio.sleep(rest)
            began = await _lags(session, url)
            alone = await _share(pid, seconds)
            middle = await _lags(session, url)
            size = ticks = 0

            async def browse() -> None:
                nonlocal size, ticks
                topics = "services,circuits,changes,nodes"
                async with session.get(f"{url}/ui/stream?topics={topics}") as answer:
                    async for chunk in answer.content.iter_any():
                        size += len(chunk)
                        ticks += chunk.count(b"event: tick")

            readers = [asyncio.create_task(browse()) for _ in range(browsers)]
            await asyncio.sleep(rest)
            before, at, ticks_before = size, time.monotonic(), ticks
            watched = await _share(pid, seconds)
            took = time.monotonic() - at
            each = (size - before) / took / browsers
            every = (ticks - ticks_before) / took / browsers
            ended = await _lags(session, url)
            for one in readers:
                one.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
    return {
        "alone_percent": round(100 * alone, 2),
        "watched_percent": round(100 * watched, 2),
        "watching_percent": round(100 * (watched - alone), 2),
        "bytes_per_second_each": round(each),
        "ticks_per_second": round(every, 2),
        "late_below_ms": {"alone": _latest(began, middle), "watched": _latest(middle, ended)},
        "late_over_10_ms_percent": {"alone": _over(began, middle), "watched": _over(middle, ended)},
    }


async def _share(pid: int, seconds: float) -> float:
    used, at = cpu(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu(pid) - used) / (time.monotonic() - at)


async def _lags(session: aiohttp.ClientSession, url: str) -> dict[float, float]:
    """Looks of the loop's meter so far, by how late they came at most (s)."""
    async with session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'resilient_event_loop_lag_seconds_bucket\{.*?le="([^"]+)".*?\} (\S+)', text)
    return {float(le): float(n) for le, n in found}


def _latest(before: dict[float, float], after: dict[float, float]) -> float:
    """What no look between two moments came later than (ms)."""
    whole = after[math.inf] - before[math.inf]
    return 1000 * min(le for le in after if after[le] - before[le] >= whole)


def _over(before: dict[float, float], after: dict[float, float]) -> float:
    """The share of looks that came more than 10 ms late, in percent."""
    whole = max(1.0, after[math.inf] - before[math.inf])
    return round(100 * (1 - (after[0.01] - before[0.01]) / whole), 2)


def main(argv: list[str] | None = None) -> int:
    """The exit code: 1 beyond a budget, unless short."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui_stream", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a look, not a measurement")
    parser.add_argument("--browsers", type=int, default=BROWSERS)
    options = parser.parse_args(argv)
    found = asyncio.run(measure(*((2, options.browsers, 1.5) if options.short else (20, options.browsers))))
    print(json.dumps({**found, "budget_percent": 100 * SHARE, "budget_bytes": BYTES}, indent=2))
    good = found["watching_percent"] <= 100 * SHARE and found["bytes_per_second_each"] <= BYTES
    if options.short:
        good = found["watched_percent"] <= TIMES * max(1.0, found["alone_percent"])
        good &= found["bytes_per_second_each"] <= BYTES
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
