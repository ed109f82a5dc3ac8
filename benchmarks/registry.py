"""What one core carries of the registry: ``python -m benchmarks.registry``.

Real server processes pinned to one core, the load on the other. What is compared runs in turns, and CPU per
request is what counts: on a machine with others on it, requests per second belong to them too.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .budgets import Finding
from .measure import NotProven
from .registry_load import Server, fetch, flood, post, put, serving, steady
from .registry_serve import path_of, registration
from .registry_versus import table, versus
from .report import Section, machine, show

WIDTH = 64
SHORT = "(short)"


def _cores() -> tuple[int | None, int | None]:
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def _found(section: Section, name: str, unit: str, measured: float, budget: float) -> None:
    if section.title.endswith(SHORT) and unit == "ns":
        return  # a short run judges ratios and bytes: its times belong to whoever else is on the machine
    section.findings.append(Finding(name, unit, measured, budget, budget))


async def heartbeats(section: Section, ours: Server, bare: Server, size: int, short: bool) -> float:
    """CPU of a heartbeat beside a bare handler's; the rate one core takes; p99 at half of that."""
    rng = random.Random(7)
    calls, rounds = (3000, 6) if short else (20_000, 9)
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    before = (await ours.do("count"))["renewals"]
    for number in range(-1, rounds):
        for name, server in (("bare", bare), ("ours", ours)):
            requests = [put(path_of(rng.randrange(size))) for _ in range(calls)]
            used = (await server.do("cpu"))["cpu"]
            took = await flood(server.port, requests, WIDTH, lambda status: status != 200)
            used = (await server.do("cpu"))["cpu"] - used
            if number >= 0:
                cpu[name].append(used / calls)
                rates[name].append(calls / took)
    if (await ours.do("count"))["renewals"] - before != calls * (rounds + 1):
        raise NotProven("some heartbeats renewed nothing")
    for name in ("bare", "ours"):
        title = "a heartbeat" if name == "ours" else "bare routed aiohttp handler"
        section.measured[f"{title}: CPU, ns"] = statistics.median(cpu[name]) * 1e9
        section.measured[f"{title}: per second"] = statistics.median(rates[name])
    ratio = statistics.median(a / b for a, b in zip(cpu["ours"], cpu["bare"], strict=True))
    _found(section, "CPU of a heartbeat / bare routed handler", "times", ratio, 1 / 0.9)
    # Half of what it did take, which on a busy machine is less than half of what it can.
    rate = statistics.median(rates["ours"]) / 2
    requests = [put(path_of(rng.randrange(size))) for _ in range(5000)]
    took = await steady(ours.port, requests, rate, 2 if short else 10, WIDTH)
    p99 = took[int(len(took) * 0.99)]
    section.measured["p99 at half of that, µs"] = p99 * 1e6
    _found(section, "p99 of heartbeats at half load", "ns", p99 * 1e9, 20e6)
    return rate


async def renewed(section: Section, ours: Server, size: int) -> None:
    """Every lease renewed once, by batches; afterwards each one's time says so."""
    for at in range(0, size, 5000):
        rows = [_row(number) for number in range(at, min(size, at + 5000))]
        body = json.dumps(rows).encode()
        await flood(ours.port, [post("/resilient/v1/renewals", body)], 1, lambda status: status != 200)
    began = time.perf_counter()
    said = await ours.do("oldest")
    if said["leases"] != size or said["oldest"] > 60 + time.perf_counter() - began:
        raise NotProven(f"not every lease was renewed: {said}")
    section.notes.append(f"every one of {size:,} leases renewed, the oldest {said['oldest']:.1f} s ago")


def _row(number: int) -> list[Any]:
    parts = path_of(number).split("/")
    return [parts[3].lower(), parts[4], 1_700_000_000_000]


async def registrations(section: Section, ours: Server, first: int, count: int) -> None:
    """New instances over HTTP."""
    requests = [
        post(
            f"/eureka/apps/{registration(number)['app']}",
            json.dumps({"instance": registration(number)}).encode(),
        )
        for number in range(first, first + count)
    ]
    used = (await ours.do("cpu"))["cpu"]
    took = await flood(ours.port, requests, WIDTH, lambda status: status != 204)
    used = (await ours.do("cpu"))["cpu"] - used
    section.measured["registrations per second"] = count / took
    section.measured["a registration: CPU, ns"] = used / count * 1e9


async def full_fetch(section: Section, ours: Server, size: int, rate: float) -> None:
    """Everything, gzipped, first and again after a change, while heartbeats run."""
    rng = random.Random(8)
    requests = [put(path_of(rng.randrange(size))) for _ in range(5000)]
    await ours.do("clear")
    beats = asyncio.create_task(steady(ours.port, requests, rate, 6, WIDTH))
    await asyncio.sleep(0.5)
    first, body = await fetch(ours.port, "/eureka/apps")
    change = json.dumps({"instance": {**registration(3), "metadata": {"version": "9"}}}).encode()
    await flood(ours.port, [post("/eureka/apps/SERVICE-3", change)], 1, lambda status: status != 204)
    again, _ = await fetch(ours.port, "/eureka/apps")
    took = await beats
    stalls = await ours.do("stalls")
    # Looked at only now: to unpack and parse it takes us a second, in which no heartbeat could be sent.
    shown = json.loads(gzip.decompress(body))["applications"]["application"]
    if sum(len(one["instance"]) for one in shown) != size:
        raise NotProven("the full answer is not full")
    section.measured[f"full fetch of {size:,}, first, µs"] = first * 1e6
    section.measured[f"full fetch of {size:,}, after a change, µs"] = again * 1e6
    section.measured[f"its bytes at {size:,}"] = len(body)
    section.measured[f"longest stall meanwhile at {size:,}, µs"] = stalls["longest"] * 1e6
    section.measured[f"p99 of heartbeats meanwhile at {size:,}, µs"] = took[int(len(took) * 0.99)] * 1e6
    _found(section, f"longest stall, full fetch of {size:,}", "ns", stalls["longest"] * 1e9, 50e6)


async def delta_cost(ours: Server, size: int) -> tuple[int, float]:
    """A client's minute with ten changes: bytes, and the server's CPU seconds, in deltas of five seconds."""
    await ours.do("forget changes")
    total, used = 0, (await ours.do("cpu"))["cpu"]
    for look in range(12):
        if look < 10:
            number = look % min(size, 100)
            body = json.dumps(
                {"instance": {**registration(number), "metadata": {"v": str(time.time_ns())}}}
            ).encode()
            path = f"/eureka/apps/{registration(number)['app']}"
            await flood(ours.port, [post(path, body)], 1, lambda status: status != 204)
        _, said = await fetch(ours.port, "/eureka/apps/delta")
        total += len(said)
    return total, (await ours.do("cpu"))["cpu"] - used


async def memory(section: Section, ours: Server, size: int) -> None:
    """What registered instances take once they were read in both spellings."""
    await ours.do("collect")
    grown = (await ours.do("cpu"))["grown"] / size
    section.measured["memory per instance, read in JSON: bytes"] = grown
    if size >= 100_000:
        _found(section, f"memory per instance at {size:,}", "bytes", grown, 3 * 1024)
    else:
        section.notes.append(f"memory is judged at 100,000 instances, not at {size:,}")


async def restart(section: Section, ours: Server, path: str, size: int, core: int | None) -> None:
    """From the start of the program to the first answer, with a snapshot; the old one has ended by then."""
    section.measured["writing the snapshot, µs"] = (await ours.do("save"))["seconds"] * 1e6
    kept = shutil.copy(path, path + ".kept")
    await registrations(section, ours, size, size // 10)
    ours.end()
    began = time.perf_counter()
    with serving("ours", size * 2, kept, core) as again:
        await fetch(again.port, "/eureka/apps/SERVICE-1")
        ready = time.perf_counter() - began
        if (await again.do("count"))["leases"] < size:
            raise NotProven("the snapshot did not bring everybody back")
    section.measured[f"start to ready with a snapshot of {size:,}, µs"] = ready * 1e6
    _found(section, f"start to ready, snapshot of {size:,}", "ns", ready * 1e9, 5e9)


async def run(short: bool) -> Section | None:
    """Everything but the long million; ``None`` without uvloop."""
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return None
    size = 10_000 if short else 100_000
    section = Section(
        "registry", f"The registry on one core, {size:,} instances{' ' + SHORT if short else ''}", {}, unit=""
    )
    mine, core = _cores()
    before = os.sched_getaffinity(0) if mine is not None else None
    if mine is not None:
        os.sched_setaffinity(0, {mine})
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "snapshot")
            with serving("ours", 2 * size, path, core) as ours, serving("bare", core=core) as bare:
                small = None
                await ours.do("fill", **{"from": 0, "to": 100})
                small = await delta_cost(ours, 100)
                await ours.do("fill", **{"from": 100, "to": size})
                rate = await heartbeats(section, ours, bare, size, short)
                await renewed(section, ours, size)
                await full_fetch(section, ours, size, rate / 2)
                await memory(section, ours, size)
                large = await delta_cost(ours, size)
                section.measured["a client's minute with 10 changes, of 100: bytes"] = small[0]
                section.measured[f"the same, of {size:,}: bytes"] = large[0]
                _found(section, "bytes of that minute, large / 100", "times", large[0] / small[0], 1.2)
                await restart(section, ours, path, size, core)
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
    return section


async def million(seconds: float, size: int = 1_000_000) -> Section:
    """A million leases at 30 s heartbeats, by batch renewals; nobody evicted."""
    section = Section("million", f"{size:,} leases on one core", {}, unit="")
    mine, core = _cores()
    if mine is not None:
        os.sched_setaffinity(0, {mine})
    with serving("ours", 2 * size, "", core) as ours:
        bodies = [
            post(
                "/resilient/v1/renewals",
                json.dumps([_row(number) for number in range(at, min(size, at + 1000))]).encode(),
            )
            for at in range(0, size, 1000)
        ]
        for at in range(0, size, 10_000):
            await ours.do("fill", **{"from": at, "to": min(size, at + 10_000), "alone": at % 100_000})
            # Whoever is there already keeps beating while the rest comes.
            if at % 200_000 == 0:
                await flood(ours.port, bodies[: at // 1000 + 1][-200:], 1, lambda status: status != 200)
        await flood(ours.port, bodies, 4, lambda status: status != 200)
        await ours.do("clear")
        used = (await ours.do("cpu"))["cpu"]
        began = time.perf_counter()
        took = await steady(ours.port, bodies, len(bodies) / 30, seconds, 8)
        lasted = time.perf_counter() - began
        stalls = await ours.do("stalls")  # first: to look at every lease is a stall of the bench's own
        said = await ours.do("oldest")
    if said["leases"] != size:
        raise NotProven(f"evicted: {size - said['leases']:,} of {size:,}")
    if said["oldest"] > max(60.0, lasted):
        raise NotProven(f"a lease was not renewed for {said['oldest']:.0f} s")
    section.measured = {
        "seconds held": lasted,
        "renewals per second": len(took) * 1000 / lasted,
        "CPU of one core, %": (said["cpu"] - used) / lasted * 100,
        "p99 of a batch of 1,000, µs": took[int(len(took) * 0.99)] * 1e6,
        "longest stall, µs": stalls["longest"] * 1e6,
        "memory per lease, bytes": said["grown"] / size,
        "memory of all that grew, MiB": said["grown"] / 2**20,
        "evicted": size - said["leases"],
        "oldest renewal at the end, s": said["oldest"],
    }
    section.notes.append("renewed by POST /resilient/v1/renewals, 1,000 rows each: not a million single PUTs")
    return section


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0; 1 beyond a hard limit (unless short); 2 if something does not prove itself."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registry", description=__doc__)
    parser.add_argument("--short", action="store_true", help="10,000 instances and short rounds: a look")
    parser.add_argument(
        "--million", type=float, metavar="SECONDS", help="hold a million leases for so long instead"
    )
    parser.add_argument(
        "--versus", action="store_true", help="the same load on Netflix's Eureka server (JDK and Maven)"
    )
    parser.add_argument("--size", type=int, help="so many instances in --million or --versus")
    options = parser.parse_args(argv)
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if options.versus:
                mine, core = _cores()
                if mine is not None:
                    os.sched_setaffinity(0, {mine})
                size = options.size or (1000 if options.short else 10_000)
                print(table(runner.run(versus(core, size, short=options.short)), size))
                return 0
            if options.million:
                section: Section | None = runner.run(million(options.million, options.size or 1_000_000))
            else:
                section = runner.run(run(options.short))
    except NotProven as error:
        print(f"not what it is timed for: {error}", file=sys.stderr)
        return 2
    assert section is not None
    show([section], machine(1.0, "uvloop"))
    return 1 if section.worst() == "fail" and not options.short else 0


if __name__ == "__main__":
    sys.exit(main())
