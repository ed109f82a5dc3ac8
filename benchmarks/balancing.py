"""``python -m benchmarks.balancing``: who is called when one copy is slow, broken, far away, or gone.

Ways to choose, side by side, in virtual time: the same seeds, arrivals and copies for each. Then ours once
more over real sockets, with copies that are stopped and killed. Exit code 1 when a bound is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import sys
from collections.abc import Callable
from random import Random

from rich.console import Console

from .balancing_report import Bound, Result, as_json, show, words
from .balancing_world import CONTENDERS, OURS, SILENCE, Answer, Outcome, World

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


TRY = 0.5  # seconds that a try may take


def stops(at: float, before: Answer) -> Answer:
    """From a moment on the first copy answers nothing, as after a SIGSTOP."""

    def answer(which: int, now: float, rng: Random) -> tuple[float, int]:
        return (TRY, SILENCE) if which == 0 and now >= at else before(which, now, rng)

    return answer


def stopped_copy(rate: float, seeds: range) -> Result:
    """One of five copies stands still. A copy that gets few tries shows its silence to few of them, so where
    calls are rare what protects them is the score: the bound for the ejection is for many calls.
    """
    at, lasts = 20.0, 30.0
    title = f"one of five copies stands still (SIGSTOP), {rate:g} calls/s"
    calls = int(rate * (at + lasts + 1))
    rows = _each(
        lambda name, seed: World(stops(at, even), name, rate=rate, calls=calls, seed=seed, copies=5),
        seeds,
        lambda seen: (
            100 * seen.share(0, at + 1.0),
            float(sum(which == 0 and began >= at + 1.0 for began, which in seen.tries)),
            100 * seen.failed(at),
            min((when - at for when in seen.ejected if when >= at), default=math.inf),
        ),
    )
    bounds = [
        Bound(title, "tries there after 1 s", rows[OURS][0], 2.0),
        Bound(title, "failed calls", rows[OURS][2], 0.0),
    ]
    if rate >= 200:
        bounds.append(Bound(title, "ejected after", rows[OURS][3], TRY + 0.5, "s"))
    return Result(title, ("stopped copy %", "tries there", "failed calls %", "ejected after s"), rows, bounds)


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


def zones_halved(calls: int, seeds: range, *, slow: bool = False) -> Result:
    """The same, but the first zone has lost two of its four copies, and with ``slow`` one of the two left is
    ten times slower; callers in all three. The worst copy of the worst seed counts.
    """
    title = "a zone has lost half of its copies" + (", one of the others is slow" if slow else "")

    def answer(which: int, now: float, rng: Random) -> tuple[float, int]:
        return rng.expovariate(1.0 / (10 * WORK if slow and which == 2 else WORK)), 200

    rows = _each(
        lambda name, seed: World(
            answer,
            name,
            rate=300.0,
            calls=calls,
            seed=seed,
            copies=12,
            zones=ZONES,
            callers=("z0", "z1", "z2"),
            gone=(0, 1),
        ),
        seeds,
        lambda seen: (max(seen.counts(12)) / (len(seen.tries) / 10),),
        (OURS,),
    )
    bound = Bound(title, "busiest copy / mean", rows[OURS][0], 1.45, "times")
    return Result(title, ("busiest / mean",), rows, [bound])


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
    calls, seeds, many = (8_000, range(1, 2), range(1, 6)) if short else (20_000, range(1, 6), range(1, 21))
    return [
        slow_copy(0.2, calls, seeds),
        slow_copy(0.6, calls, seeds),
        broken_copy(500, 20_000, seeds),
        broken_copy(503, 20_000, seeds),
        *(stopped_copy(rate, seeds if rate > 100 else many) for rate in (10.0, 50.0, 200.0)),
        zones_even(calls, seeds),
        zones_halved(calls, many),
        zones_halved(calls, seeds, slow=True),
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
