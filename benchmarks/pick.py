"""Choosing an instance and learning from the try, among few and among many."""

from __future__ import annotations

import gc
from itertools import repeat
from time import process_time_ns
from typing import Any

from . import floors
from .budgets import PICK, PICK_RATIOS, REFERENCE, check, compare
from .measure import call_slice, low, target_sync
from .report import Section


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *args: object) -> None: ...


def run(short: bool) -> Section | None:
    """``with balancer.pick(...)`` over an empty ``with``; ``None`` while there is no balancer."""
    try:
        contenders = {f"pick of {number:,}": _balancer(number) for number in (10, 10_000)}
    except ImportError:
        return None
    nothing = _Nothing()
    plain = target_sync()
    floor = floors.counted_sync(plain)
    samples: dict[str, list[float]] = {name: [] for name in ("bare", "call", "floor", *contenders)}
    gc.collect()
    gc.freeze()
    calls = 500 if short else 2000
    for number in range(-2, 21 if short else 61):
        spent = {"bare": _slice(lambda service: nothing, calls)}
        spent |= {"call": call_slice(plain, calls), "floor": call_slice(floor, calls)}
        spent |= {name: _slice(balancer.pick, calls) for name, balancer in contenders.items()}
        if number >= 0:
            for name, ns in spent.items():
                samples[name].append(ns / calls)
    gc.unfreeze()
    found = {name: low(values) for name, values in samples.items()}
    measured = {name: found[name] - found["bare"] for name in contenders}
    times = (found["floor"] - found["call"]) / REFERENCE["floor: sync"]
    section = Section("pick", "Choosing an instance, over an empty with block", measured)
    section.findings = check(PICK, measured, times) + compare(PICK_RATIOS, measured)
    return section


def _balancer(number: int) -> Any:
    from resilient.balancing.balancer import Balancer
    from resilient.model import Instance

    instances = tuple(
        Instance(service="orders", host=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", port=8000, id=f"i{n}")
        for n in range(number)
    )
    balancer = Balancer({"orders": instances}.__getitem__)
    heard: set[str] = set()
    for _ in range(3 * number):  # each has been measured: a first try makes what later ones use
        with balancer.pick("orders") as pick:
            heard.add(pick.instance.id)
    if len(heard) < number * 0.9:
        raise AssertionError(f"{3 * number} picks of {number} instances reached only {len(heard)} of them")
    return balancer


def _slice(pick: Any, n: int) -> int:
    start = process_time_ns()  # others' work on this machine is not ours
    for _ in repeat(None, n):
        with pick("orders"):
            pass
    return process_time_ns() - start
