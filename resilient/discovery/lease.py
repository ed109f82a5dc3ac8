"""What a registered instance does next (pure)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from random import Random

from ..clock import SYSTEM, Clock
from ..model import Instance, Status

#: Waits after a failure: drawn between nothing and a bound that doubles from the first to the second.
FIRST_BACK_OFF = 1.0
LONGEST_BACK_OFF = 30.0
# Drawn waits may be tiny; this keeps a registry that answers nonsense quickly from being hammered.
SHORTEST_WAIT = 0.05


class Step(Enum):
    """Something to do at the registry."""

    SIGN_IN = "sign in"
    RENEW = "renew"
    SIGN_OUT = "sign out"
    REST = "rest"


class Answer(Enum):
    """What the registry made of a step."""

    TAKEN = "taken"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    SILENCE = "silence"


class BackOff:
    """Full jitter: each wait is drawn between nothing and a bound that doubles, so that many who failed
    together do not come back together."""

    def __init__(
        self, rng: Random, *, first: float = FIRST_BACK_OFF, longest: float = LONGEST_BACK_OFF
    ) -> None:
        self._rng = rng
        self._first = first
        self._longest = longest
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many waits were drawn since the last `reset`."""
        return self._failures

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        bound = min(self._longest, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return max(SHORTEST_WAIT, self._rng.uniform(0.0, bound))

    def reset(self) -> None:
        """It worked: begin anew."""
        self._failures = 0


def jittered(seconds: float, rng: Random) -> float:
    """``seconds``, give or take a tenth."""
    return seconds * rng.uniform(0.9, 1.1)


class LeaseKeeper:
    """Keeps one instance registered: says what to do and when, and learns what came of it.

    `next` gives a step and the seconds to wait for it; whoever takes it reports with `heard`, naming
    the instance that was sent, so that a change made meanwhile is not taken for told. Waits are
    measured with the monotonic clock; wall time is read for dirty stamps only, and these always grow.
    """

    def __init__(self, instance: Instance, *, clock: Clock = SYSTEM, rng: Random | None = None) -> None:
        self._clock = clock
        self._rng = rng or Random()
        self._back_off = BackOff(self._rng, longest=min(LONGEST_BACK_OFF, instance.renew_every))
        self.instance = instance if instance.dirty_at else self._stamped(instance, 0)
        self.registered = False
        self._step = Step.SIGN_IN
        self._due = clock.monotonic()

    def next(self) -> tuple[Step, float]:
        """What to do, and in how many seconds; ``REST`` never comes due."""
        if self._step is Step.REST:
            return Step.REST, float("inf")
        return self._step, max(0.0, self._due - self._clock.monotonic())

    def heard(self, step: Step, sent: Instance, answer: Answer) -> str:
        """Learn what came of a step. Returns what changed, in `LeaseChanged`'s words, or ``""``."""
        if step is Step.SIGN_OUT or self._step in (Step.SIGN_OUT, Step.REST):
            return self._left(step, answer)
        if answer is Answer.TAKEN:
            # From now on a failure is no hurry: the lease lasts longer than that, and many may fail at once.
            every = self.instance.renew_every
            self._back_off = BackOff(self._rng, first=every / 6, longest=min(LONGEST_BACK_OFF, every))
            known = self.registered
            self.registered = True
            if sent.dirty_at != self.instance.dirty_at:
                self._plan(Step.SIGN_IN, 0.0)
            else:
                self._plan(Step.RENEW, jittered(self.instance.renew_every, self._rng))
            return "" if known else "registered"
        if answer is Answer.UNKNOWN and step is Step.RENEW:
            lost = self.registered
            self.registered = False
            self.instance = self._stamped(self.instance, self.instance.dirty_at)
            # No wait: until then nobody finds us. It cannot loop, for after signing in comes a long wait.
            self._plan(Step.SIGN_IN, 0.0)
            return "lost" if lost else ""
        first = self._back_off.failures == 0
        # A change that waits to be told goes before a renewal.
        stale = sent.dirty_at != self.instance.dirty_at
        self._plan(Step.SIGN_IN if stale else step, self._back_off.next())
        return "unreachable" if first else ""

    def become(self, status: Status) -> bool:
        """Take another status and tell the registry at once. False if it is the present one.

        Registries never take UP to OUT_OF_SERVICE, or back, from an instance's own registration: that
        belongs to operators. To be left alone while draining, become DOWN.
        """
        if status is self.instance.status:
            return False
        return self.change(self.instance.become(status))

    def tell(self, metadata: Mapping[str, str]) -> bool:
        """Replace the metadata and tell the registry at once. False if nothing changed."""
        if dict(metadata) == dict(self.instance.metadata):
            return False
        return self.change(dataclasses.replace(self.instance, metadata=dict(metadata)))

    def change(self, instance: Instance) -> bool:
        """Replace the instance (same service and id) and tell the registry at once."""
        if self._step in (Step.SIGN_OUT, Step.REST):
            return False
        self.instance = self._stamped(instance, self.instance.dirty_at)
        self._plan(Step.SIGN_IN, 0.0)
        return True

    def sign_out(self) -> None:
        """From here on nothing but one sign-out; there will be no heartbeat and no registration."""
        if self._step is not Step.REST:
            self.instance = self.instance.become(Status.DOWN)
            self._plan(Step.SIGN_OUT, 0.0)

    def rest(self) -> None:
        """From here on nothing at all: others keep the lease, or it is to run out."""
        self._step = Step.REST
        self.registered = False

    def _left(self, step: Step, answer: Answer) -> str:
        if step is not Step.SIGN_OUT:
            return ""  # a late answer to something that no longer matters
        was = self.registered
        self.rest()
        return "signed-out" if was and answer in (Answer.TAKEN, Answer.UNKNOWN) else ""

    def _plan(self, step: Step, wait: float) -> None:
        self._step = step
        self._due = self._clock.monotonic() + wait

    def _stamped(self, instance: Instance, last: int) -> Instance:
        # A wall clock that stepped back must not make news look old.
        return dataclasses.replace(instance, dirty_at=max(int(self._clock.time() * 1000), last + 1))
