"""``python -m benchmarks.balancing``: who is called when one copy is slow, broken, far away, or gone.

Ways to choose, side by side, in virtual time: the same seeds, arrivals and copies for each. Then ours once
more over real sockets, with copies that are stopped and killed. Exit code 1 when a bound is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Callable
from random import Random

from rich.console import Console

from .balancing_report import Bound, Result, as_json, show, words
from .balancing_world import CONTENDERS, OURS, Answer, Outcome, World

WORK = 0.02  # seconds that a try takes a healthy copy, on the average
WORKERS = 4
COPIES = 10


def one_slow(which: int, now: float, rng: Random) -> tuple[float, int]:
    """The first copy takes ten times as long as the others."""
    return rng.expovariate(1.0 / (10 * WORK if which == 0 else WORK)), 200


def even(which: int, now: float, rng: Random) -> tuple[float, int]:
    """All copies are alike."""
    return rng.expovariate(1.0 / WORK), 200


def breaks(at: float, status: int) -> Answer:
    """From a moment on the first copy fails at once."""

    def answer(which: int, now: float, rng: Random) -> tuple[float, int]:
        return (0.001, status) if which == 0 and now >= at else even(which, now, rng)

    return answer


#: What all copies can do in a second, one of them being ten times slower than the others.
CAPACITY = (COPIES - 1 + 0.1) * WORKERS / WORK


def slow_copy(load: float, calls: int, seeds: range) -> Result:
    """One of ten copies is ten times slower; ``load`` is the part of what they can do together."""
    rate = load * CAPACITY
    skip = 0.1 * calls / rate
    title = f"one of ten copies 10 times slower, {load:.0%} of capacity"
    rows = _each(
        lambda name, seed: World(one_slow, name, rate=rate, calls=calls, seed=seed, workers=WORKERS),
        seeds,
        lambda seen: (
            100 * seen.share(0, skip),
            1000 * seen.percentile(0.5, skip),
            1000 * seen.percentile(0.99, skip),
        ),
    )
    bounds = [Bound(title, "calls to the slow copy", rows[OURS][0], 2.0)]
    if load > 0.5:
        ratio = rows[OURS][2] / rows["round robin"][2]
        bounds.append(Bound(title, "p99 / round robin's", ratio, 1 / 3, "times"))
    else:
        ratio = rows[OURS][2] / rows["least loaded"][2]
        bounds.append(Bound(title, "p99 / least loaded's", ratio, 0.7, "times"))
    return Result(title, ("slow copy %", "p50 ms", "p99 ms"), rows, bounds)


def broken_copy(status: int, calls: int, seeds: range) -> Result:
    """One of ten copies begins to fail at once; 500 is not retried, 503 is."""
    rate, at = 200.0, 10.0
    title = f"one of ten copies answers {status} at once"
    rows = _each(
        lambda name, seed: World(
            breaks(at, status), name, rate=rate, calls=calls + int(rate * at), seed=seed
        ),
        seeds,
        lambda seen: (100 * seen.share(0, at + 2.0), 100 * seen.failed(at)),
    )
    bounds = [
        Bound(title, "calls there after 2 s", rows[OURS][0], 2.0),
        Bound(title, "calls failed", rows[OURS][1], 0.1),
    ]
    return Result(title, ("broken copy %", "failed calls %"), rows, bounds)


ZONES = tuple(f"z{n // 4}" for n in range(12))


def zones_even(calls: int, seeds: range) -> Result:
    """Three zones with four copies each; the callers of one of them."""
    title = "three equal zones"
    local = [n for n, zone in enumerate(ZONES) if zone == "z0"]
    rows = _each(
        lambda name, seed: World(
            even, name, rate=300.0, calls=calls, seed=seed, copies=12, zones=ZONES, callers=("z0",)
        ),
        seeds,
        lambda seen: (100 * (1 - sum(seen.counts(12)[n] for n in local) / len(seen.tries)),),
        (OURS,),
    )
    return Result(title, ("cross-zone %",), rows, [Bound(title, "cross-zone calls", rows[OURS][0], 1.0)])


def zones_halved(calls: int, seeds: range) -> Result:
    """The same, but the first zone has lost two of its four copies; callers in all three.

    All seeds count together: in a single short run one of the two copies left is luckier than the other.
    """
    title = "a zone has lost half of its copies"
    counts = [0] * 12
    for seed in seeds:
        world = World(
            even,
            OURS,
            rate=300.0,
            calls=calls,
            seed=seed,
            copies=12,
            zones=ZONES,
            callers=("z0", "z1", "z2"),
            gone=(0, 1),
        )
        counts = [one + more for one, more in zip(counts, world.outcome.counts(12), strict=True)]
    busiest = max(counts) / (sum(counts) / 10)
    return Result(
        title,
        ("busiest / mean",),
        {OURS: (busiest,)},
        [Bound(title, "busiest copy / mean", busiest, 1.45, "times")],
    )


def _each(
    world: Callable[[str, int], World],
    seeds: range,
    figures: Callable[[Outcome], tuple[float, ...]],
    names: tuple[str, ...] = tuple(CONTENDERS),
) -> dict[str, tuple[float, ...]]:
    """Each contender's figures: ours the worst of all seeds, the others' best. No luck in ours."""
    rows = {}
    for name in names:
        seen = [figures(world(name, seed).outcome) for seed in seeds]
        rows[name] = tuple((max if name == OURS else min)(column) for column in zip(*seen, strict=True))
    return rows


def simulated(short: bool) -> list[Result]:
    """All scenarios in virtual time."""
    calls, seeds = (8_000, range(1, 2)) if short else (20_000, range(1, 6))
    return [
        slow_copy(0.2, calls, seeds),
        slow_copy(0.6, calls, seeds),
        broken_copy(500, 20_000, seeds),
        broken_copy(503, 20_000, seeds),
        zones_even(calls, seeds),
        zones_halved(calls, range(1, 6)),
    ]


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0, or 1 when a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.balancing", description=__doc__)
    parser.add_argument("--short", action="store_true", help="one seed and fewer calls")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--no-sockets", action="store_true", help="virtual time only")
    options = parser.parse_args(argv)
    logging.getLogger("resilient").setLevel(logging.CRITICAL)  # copies break on purpose here
    results = simulated(options.short)
    if not options.no_sockets:
        from .balancing_live import live

        results += asyncio.run(live(options.short))
    broken = [bound for result in results for bound in result.bounds if not bound.kept]
    if options.json:
        print(json.dumps(as_json(results), indent=2))
    else:
        show(results, Console(width=None if sys.stdout.isatty() else 110))
    for bound in broken:
        print(f"broken: {bound.scenario}: {bound.name} is {words(bound.measured, bound)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
