"""Copies, callers and time, all of them imagined: seeded, so that each run is the same."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from resilient.balancing.balancer import Balancer
from resilient.balancing.dialect import STANDARD
from resilient.balancing.picks import Pick, Tries
from resilient.balancing.rules import prefer_zone
from resilient.clock import ManualClock
from resilient.errors import NoInstance
from resilient.events import Event, InstanceEjected
from resilient.model import Instance

#: How a copy answers a try that begins at a moment: seconds of work, and the status.
Answer = Callable[[int, float, Random], tuple[float, int]]

#: Instead of a status: no answer ever comes, and the try is given up after those seconds.
SILENCE = 0

#: The contenders: a rule's name, and whether its balancer hears of failures and may retry.
CONTENDERS = {
    "round robin": ("round_robin", False),
    "random": ("random", False),
    "least loaded": ("least_loaded", False),
    "ours": ("two_choices", True),
}
OURS = "ours"


@dataclass(slots=True)
class Outcome:
    """What came of a run: for each try the copy it went to, for each call its seconds and last status."""

    tries: list[tuple[float, int]] = field(default_factory=list)
    calls: list[tuple[float, float, int]] = field(default_factory=list)
    ejected: list[float] = field(default_factory=list)  # when

    def share(self, copy: int, since: float = 0.0) -> float:
        """The part of all tries since a moment that went to one copy."""
        of_all = [which for began, which in self.tries if began >= since]
        return of_all.count(copy) / max(1, len(of_all))

    def counts(self, copies: int, since: float = 0.0) -> list[int]:
        """Tries by copy."""
        found = [0] * copies
        for began, which in self.tries:
            if began >= since:
                found[which] += 1
        return found

    def percentile(self, q: float, since: float = 0.0) -> float:
        """Seconds of a call at this quantile."""
        times = sorted(seconds for began, seconds, _ in self.calls if began >= since)
        return times[int(q * (len(times) - 1))]

    def failed(self, since: float = 0.0) -> float:
        """The part of the calls that ended badly."""
        statuses = [status for began, _, status in self.calls if began >= since]
        return sum(status >= 500 or status == SILENCE for status in statuses) / max(1, len(statuses))


class World:
    """Poisson arrivals from one or several callers against copies that work on ``workers`` tries at a time.

    What finds all workers of its copy busy waits in a line there, as in a real one. An answer without work
    (an error at once) waits for nobody. ``zones`` gives each copy its zone, ``callers`` each caller's; they
    take turns, so all of them are equally busy.
    """

    def __init__(
        self,
        answer: Answer,
        contender: str,
        *,
        rate: float,
        calls: int,
        seed: int,
        copies: int = 10,
        workers: int = 4,
        zones: Sequence[str] = (),
        callers: Sequence[str] = ("",),
        gone: Sequence[int] = (),
    ) -> None:
        rule, self._learns = CONTENDERS[contender]
        self._answer = answer
        self._workers = workers
        self._clock = ManualClock(0.0)
        self._rng = Random(seed)
        self._listed = tuple(
            Instance(service="orders", host=f"10.0.0.{n}", port=80, id=str(n), zone=zones[n] if zones else "")
            for n in range(copies)
            if n not in gone
        )
        self._balancers = [
            Balancer(
                lambda name: self._listed,
                prefer_zone(zone) if zone else rule,
                clock=self._clock,
                rng=Random(seed * 1000 + number),
                publish=self._hear,
            )
            for number, zone in enumerate(callers)
        ]
        self._busy = [0] * copies
        self._lines: list[deque[tuple[Any, ...]]] = [deque() for _ in range(copies)]
        self._events: list[tuple[Any, ...]] = []
        self._serial = 0
        self.outcome = Outcome()
        self._run(rate, calls)

    def _hear(self, event: Event) -> None:
        if isinstance(event, InstanceEjected):
            self.outcome.ejected.append(self._clock.monotonic())

    def _run(self, rate: float, calls: int) -> None:
        rng, events, clock = self._rng, self._events, self._clock
        at = rng.expovariate(rate)
        for number in range(calls):
            while events and events[0][0] <= at:
                self._end(heapq.heappop(events))
            clock.advance(max(0.0, at - clock.monotonic()))
            balancer = self._balancers[number % len(self._balancers)]
            self._next(balancer.tries("orders", harmless=True, dialect=STANDARD), at)
            at += rng.expovariate(rate)
        while events:
            self._end(heapq.heappop(events))

    def _next(self, tries: Tries, began: float) -> None:
        now = self._clock.monotonic()
        try:
            pick = next(tries)
        except NoInstance:
            self.outcome.calls.append((began, now - began, 503))
            return
        pick.__enter__()
        which = int(pick.instance.id)
        self.outcome.tries.append((now, which))
        work, status = self._answer(which, now, self._rng)
        job = (which, pick, tries, status, began, work)
        if status >= 500 or status == SILENCE:
            self._schedule(now + work, False, job)
        elif self._busy[which] < self._workers:
            self._busy[which] += 1
            self._schedule(now + work, True, job)
        else:
            self._lines[which].append(job)

    def _schedule(self, when: float, works: bool, job: tuple[Any, ...]) -> None:
        self._serial += 1
        heapq.heappush(self._events, (when, self._serial, works, job))

    def _end(self, event: tuple[Any, ...]) -> None:
        when, _, works, (which, pick, tries, status, began, _) = event
        self._clock.advance(max(0.0, when - self._clock.monotonic()))
        if works:
            if self._lines[which]:
                waiting = self._lines[which].popleft()
                self._schedule(when + waiting[-1], True, waiting)
            else:
                self._busy[which] -= 1
        if self._learns and status == SILENCE:
            again = pick.__exit__(TimeoutError, TimeoutError(), None)
        else:
            again = self._learns and self._tell(tries, pick, status)
            pick.__exit__(None, None, None)
        if again:
            self._next(tries, began)
        else:
            self.outcome.calls.append((began, when - began, status))

    @staticmethod
    def _tell(tries: Tries, pick: Pick, status: int) -> bool:
        return status >= 400 and tries.again(status)
