"""One instance as seen from here: busy, slow, ejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import exp, inf, log

from ..model import Instance

TAU = 10.0  # seconds in which what was learnt fades to 37 %
FLOOR = 0.001  # no instance looks better than this
LEAST = 1e-9  # what the logarithm of a latency is taken of, at least
PENALTY = 100.0  # the sample of an instance that only fails, in multiples of the usual latency
UNHEARD = -inf  # the mark of an instance that was never measured
UNMEASURED = 1e12  # busy and never measured: loses against every measured one
_SPAN = 30  # seconds of good and bad that the share of successes is taken from


class State(IntEnum):
    """Where an instance stands with the balancer."""

    HEALTHY = 0
    EJECTED = 1
    WAITING = 2  # a probe is due
    PROBING = 3


class Why(StrEnum):
    """Why an instance was ejected."""

    REFUSED = "refused the connection"
    CONNECT = "cannot be connected to"
    ROW = "failed several times in a row"
    SILENT = "does not answer while others do"
    SHARE = "fails more often than not"
    MANUAL = "by hand"


class Mean:
    """What a command usually takes, in seconds: ten samples averaged, then slowly moving."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.count = 0

    def ratio(self, seconds: float) -> float:
        """``seconds`` in multiples of the usual; 1 while the usual is not known."""
        return seconds / self.value if self.count else 1.0

    def learn(self, seconds: float) -> float:
        """Take in one success; answers with its ratio to what was usual before.

        In the first ten, to what is usual with it, if that is more.
        """
        usual = self.value
        if self.count < 10:
            self.count += 1
            value = usual + (seconds - usual) / self.count
            # The first few say little: one lucky answer must not make all later ones look slow.
            usual = max(usual, value)
        else:
            value = usual + 0.02 * (seconds - usual)
        self.value = value if value > 1e-4 else 1e-4
        return seconds / usual if usual > 0.0 else 1.0


def given_weight(instance: Instance) -> float:
    """The weight in an instance's metadata; 1 without one, or with one that makes no sense."""
    text = instance.metadata.get("weight") if instance.metadata else None
    if text is None:
        return 1.0
    try:
        weight = float(text)
    except (TypeError, ValueError):
        return 1.0
    return weight if 0.0 <= weight <= 1000.0 else 1.0


class _Hot:
    """What every pick and every good answer touch, side by side in memory.

    Among ten thousand copies each one is cold when it is chosen, and what a pick costs is how many cache
    lines it has to wait for. The interpreter orders slots by name, but those of a base class come first.
    """

    __slots__ = (
        "answers", "bads", "goods", "in_flight", "latency", "mark", "now", "row", "seconds", "stamp", "state",
        "turn",
    )  # fmt: skip


class Node(_Hot):
    """An instance with what this process has learnt of it. Rules read it; only the pool writes.

    ``latency`` is relative: a try's time in multiples of what its command usually takes, so that a
    copy that happens to get the slow commands does not look slow. It jumps up at once and fades down.

    ``mark`` is the same as a logarithm that needs no fading: all copies fade alike, so of two the one with
    the smaller mark is the quicker one, at any moment. Change both, and ``stamp``, by :meth:`measured`.
    """

    __slots__ = (
        "away", "back_at", "connects", "drained", "ejected_at", "ejections", "failures", "given", "gone_at",
        "instance", "near", "others", "probe_until", "quiet_until", "ramp_from", "refusals", "ring",
        "silences", "until", "url", "voids", "weight", "why",
    )  # fmt: skip

    def __init__(self, instance: Instance, now: Callable[[], float], near: bool = False) -> None:
        self.now = now
        self.near = near  # in our own zone when it was first seen: what is counted by it must not move
        self.in_flight = 0
        self.weight = 1.0  # as it counts at this moment, slow start included
        self.drained = False
        self.away = False  # was in the last directory, but not up
        self.gone_at: float | None = None
        self.ramp_from: float | None = None
        self.answers = self.failures = self.others = 0  # for ever; never reset
        self.voids = 0  # tries that said nothing
        self.seconds = 0.0  # that all of these took
        self.adopt(instance)
        self.reset(0.0)

    def adopt(self, instance: Instance) -> None:
        """Take the newest record of the same copy."""
        self.instance = instance
        self.url = instance.url
        self.given = given_weight(instance)

    def reset(self, now: float) -> None:
        """Forget what was learnt, as for a copy that was started anew."""
        self.latency = -1.0  # never measured
        self.mark = UNHEARD
        self.stamp = now
        self.goods = self.bads = 0.0  # fading counts
        self.ring: list[tuple[int, int, int, int]] = []
        self.turn = 0.0
        self.row = self.connects = self.silences = 0  # in a row: failures, connect failures, late tries
        self.state = State.HEALTHY
        self.why: Why | None = None
        self.until = self.quiet_until = self.probe_until = 0.0
        self.ejected_at = self.back_at = now
        self.ejections = self.refusals = 0

    # -- what rules ask --

    @property
    def load(self) -> float:
        """How long one more call would take here, roughly, in multiples of the usual; less is better."""
        return self.load_at(self.now())

    def load_at(self, now: float) -> float:
        """The same at a given monotonic moment, for rules that compare several nodes."""
        latency = self.latency
        if latency < 0.0:
            return self.in_flight * UNMEASURED
        age = now - self.stamp
        if age > 0.0:
            latency *= exp(age / -TAU)
        if latency < FLOOR:
            latency = FLOOR
        return latency * (1 + self.in_flight)

    @property
    def closed(self) -> bool:
        """Whether nobody listens there, as far as we know."""
        return self.state is not State.HEALTHY and self.why is Why.REFUSED

    # -- learning --

    def measured(self, latency: float, now: float) -> None:
        """This is its latency from ``now`` on."""
        self.latency = latency
        self.stamp = now
        self.mark = log(latency if latency > LEAST else LEAST) + now / TAU

    def answered(self, mean: Mean, seconds: float, now: float) -> None:
        """A good answer after ``seconds``."""
        if mean.count < 10:
            # Nobody is quicker than usual before it is known what is usual: the very first call of a process
            # takes long, and the copy that happened to get it would be left alone for seconds.
            sample = max(mean.learn(seconds), 1.0)
        else:  # Mean.learn, written out: this is the way of every good call
            usual = mean.value
            sample = seconds / usual
            usual += 0.02 * (seconds - usual)
            mean.value = usual if usual > 1e-4 else 1e-4
        stamp = self.stamp
        kept = exp((stamp - now) / TAU) if now > stamp else 1.0
        self.goods = self.goods * kept + 1.0
        if self.bads:
            self.bads *= kept
        latency = self.latency
        if sample <= latency:
            sample += (latency - sample) * kept
        self.latency = sample  # Node.measured, written out
        self.stamp = now
        self.mark = log(sample if sample > LEAST else LEAST) + now / TAU
        if self.row:
            self.row = self.connects = self.silences = 0
        if now >= self.turn:
            self.roll(now)
        self.answers += 1
        self.seconds += seconds

    def faulted(self, mean: Mean, seconds: float, now: float) -> None:
        """It answered that the question was wrong. A copy that says so quickly must not look fast."""
        self._fade(now, good=1.0)
        self._sample(max(mean.ratio(seconds), 1.0), now)
        self.row = self.connects = self.silences = 0
        if now >= self.turn:
            self.roll(now)
        self.answers += 1
        self.seconds += seconds

    def failed(self, mean: Mean, seconds: float, now: float, *, overload: bool = False) -> None:
        """It failed. The sample grows with its recent share of failures.

        A constant penalty would exile a copy after one accident, none would draw calls to one that
        fails fast.
        """
        self._fade(now, bad=1.0)
        share = self.bads / (self.goods + self.bads + 2.0)
        self._sample(max(mean.ratio(seconds), PENALTY * share), now)
        if now >= self.turn:
            self.roll(now)
        self.seconds += seconds
        if overload:
            self.others += 1
        else:
            self.failures += 1
            self.row += 1

    def said_nothing(self, seconds: float) -> None:
        """A try ended in a way that tells nothing of this copy."""
        self.voids += 1
        self.seconds += seconds

    def _fade(self, now: float, good: float = 0.0, bad: float = 0.0) -> None:
        kept = exp((self.stamp - now) / TAU) if now > self.stamp else 1.0
        self.goods = self.goods * kept + good
        self.bads = self.bads * kept + bad

    def _sample(self, sample: float, now: float) -> None:
        if sample <= self.latency:
            kept = exp((self.stamp - now) / TAU) if now > self.stamp else 1.0
            sample = self.latency * kept + sample * (1.0 - kept)
        self.measured(sample, now)

    # -- the last half minute --

    def roll(self, now: float) -> None:
        """A new second begins: note the counts so far."""
        second = int(now)
        self.turn = second + 1.0
        ring = self.ring
        ring.append((second, self.answers, self.failures, self.others))
        if len(ring) > _SPAN:
            del ring[0]

    def lately(self, now: float) -> tuple[int, int, int]:
        """Good, failed and other tries of the last 30 seconds."""
        oldest = int(now) - _SPAN
        for second, answers, failures, others in self.ring:
            if second > oldest:
                return self.answers - answers, self.failures - failures, self.others - others
        return 0, 0, 0

    def __repr__(self) -> str:
        return f"<Node {self.instance.id} {self.state.name.lower()} in_flight={self.in_flight}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node at one moment, for showing.

    ``state`` is ``healthy``, ``overloaded``, ``ejected``, ``waiting`` (for a probe), ``probing``,
    ``drained``, or ``away`` (listed, but not up). ``latency`` is an estimate in seconds, ``None`` if
    never measured; ``ejected_until`` is the seconds left; ``share`` its part of the service's tries
    in the last 30 seconds, ``success`` the part of its own that were good.
    """

    id: str
    instance: Instance
    state: str
    latency: float | None
    in_flight: int
    ejected_until: float
    share: float
    success: float | None
    failures: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """One service's balancing at one moment, for showing."""

    instances: int
    usable: int
    ejected: int
    panic: bool
    panics: int
    retries: int
    budget_exhausted: int
    budget: int
