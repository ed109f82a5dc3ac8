"""The copies of one service: who is usable, who is ejected, who is due for a probe."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from math import inf
from random import Random
from threading import RLock

from ..clock import Clock
from ..events import Event, InstanceEjected, InstanceRestored, Publish
from ..model import Instance
from .budget import Budget
from .candidates import Candidates, matches
from .dialect import TROUBLE, TROUBLES, Verdict
from .node import Mean, Node, State, Why
from .roster import Roster
from .rules import Rule, ZoneRule, by_key

IN_A_ROW = 5  # failures that eject
SILENCES = 2  # tries without an answer in their time, while others answer: few are sent to who is late
CONNECTS = 2  # connect failures that do; a refused connection needs only one
SHARE, VOLUME = 0.5, 20  # or fewer good tries than this share, of at least so many in 30 s
FIRST, LONGEST = 5.0, 300.0  # seconds of ejection: doubling from ... to
FIRST_REFUSED, LONGEST_REFUSED = 1.0, 32.0  # a closed port may open any moment, and asking is cheap
FORGIVE = 60.0  # seconds of health that take one doubling back
MOST_QUIET = 30.0  # seconds that a Retry-After is believed
PATIENCE = 5.0  # seconds a probe waits for a call that may be repeated
PROBE_LOST = 10.0  # seconds after which a probe that never ended frees its place
NOWHERE: Mapping[str, str] = {}  # selects everybody
COMMANDS = 256  # kinds of calls told apart by their usual latency


class Pool(Roster):
    """Balancing of one service. ``choose`` is asked rarely: while nothing changes, a pick needs only
    ``snapshot``, ``calm``, ``usable`` and ``rule``, which are replaced and never edited.
    """

    __slots__ = (
        "_clock", "_dirty", "_due", "_news", "_publish", "_rng", "budget", "calm", "exhausted", "lock",
        "mean", "means", "panic", "panics", "plain", "retries", "rule", "service", "troubles", "usable",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        service: str,
        rule: Rule,
        *,
        publish: Publish,
        clock: Clock,
        rng: Random,
        only: str | None = None,
        home: str | None = None,
    ) -> None:
        super().__init__(clock.monotonic, only, home)
        self.service = service
        self.rule = rule
        self.plain = rule.rule if isinstance(rule, ZoneRule) else rule  # retries and panic know no zones
        self.budget = Budget()
        self.lock = RLock()  # re-entered when a rule, or the garbage collector, asks us something
        self.usable = Candidates()
        self.waiting: list[Node] = []
        self.panic = False
        self.calm = -inf  # until this moment a pick needs no second thought
        self.mean = Mean()
        self.means: dict[str, Mean] = {"": self.mean}
        self.retries = self.exhausted = self.panics = 0
        self.troubles = dict.fromkeys(TROUBLES, 0)
        self._due = -inf  # when health changes by the passing of time
        self._dirty = False  # health has changed
        self._news: list[Event] = []
        self._publish = publish
        self._clock = clock
        self._rng = rng

    # -- choosing --

    def choose(
        self,
        instances: Sequence[Instance],
        now: float,
        *,
        avoid: Container[str] = (),
        key: str | None = None,
        harmless: bool = False,
        can_retry: bool = False,
        again: bool = False,
        where: Mapping[str, str] = NOWHERE,
    ) -> tuple[Node | None, bool]:
        """The long way of a pick: refreshes what is stale. Also says whether this is a probe."""
        with self.lock:
            if instances is not self.snapshot or self._dirty or now >= self._due:
                self._refresh(instances, now)
            if self.waiting and not again:  # a retry should have the best chance there is
                node = self._probe(avoid, now, harmless, can_retry, where)
                if node is not None:
                    return node, True
            usable = self.usable
            if where:
                usable = usable.matching(where) or Candidates(
                    node for node in self.up if not node.drained and matches(node, where)
                )
            if not usable:
                return None, False
            if key is not None:
                others = [node for node in usable if node.instance.id not in avoid]
                return by_key(key, others or usable), False
            return self._elsewhere(usable, avoid, again), False

    def _probe(
        self,
        avoid: Container[str],
        now: float,
        harmless: bool,
        can_retry: bool,
        where: Mapping[str, str],
    ) -> Node | None:
        for node in self.waiting:
            if node.instance.id in avoid or not matches(node, where):
                continue
            # Whoever may be hit by the failure should be able to go elsewhere. A refused connection
            # can always go elsewhere.
            if harmless or (can_retry and node.why is Why.REFUSED) or now >= node.until + PATIENCE:
                node.state = State.PROBING
                node.probe_until = now + PROBE_LOST
                self.waiting.remove(node)
                self._rest(node.probe_until)
                return node
        return None

    def _elsewhere(self, usable: Candidates, avoid: Container[str], again: bool) -> Node:
        rng = self._rng
        if not avoid:
            return (self.plain if again or self.panic else self.rule)(usable, rng)
        for _ in range(3):
            node = self.plain(usable, rng)
            if node.instance.id not in avoid:
                return node
        for tier in (usable,) if usable is not self.usable else self._tiers():
            left = Candidates(node for node in tier if node.instance.id not in avoid)
            if left:
                return self.plain(left, rng)
        return self.plain(usable, rng)

    def _tiers(self) -> Iterable[list[Node]]:
        """Whom to ask when the usable ones are exhausted: the busy, the ejected, the refusing."""
        yield self.usable
        up = [node for node in self.up if not node.drained]
        yield [node for node in up if node.state is State.HEALTHY]
        yield [node for node in up if not node.closed]
        yield up

    def another(self, tried: Sequence[str], *, unsent: bool) -> str | None:
        """May a call that tried these go on, and where: ``"other"``, ``"same"`` or ``None``.

        The same one again only if it was the only one and nothing was sent, or after everybody had
        their turn. Copies that refuse connections count only for calls that could not connect.
        """
        with self.lock:
            for node in self.usable:
                if node.instance.id not in tried and (unsent or not node.closed):
                    return "other"
            left = [node for node in self.up if not node.drained and (unsent or not node.closed)]
            if any(node.instance.id not in tried for node in left):
                return "other"
            return "same" if left and (unsent or len(left) > 1) else None

    # -- learning, the long way --

    def learn(
        self,
        node: Node,
        verdict: Verdict,
        began: float,
        mean: Mean,
        *,
        probe: bool,
        quiet: float | None = None,
        trouble: str = "",
    ) -> None:
        """How a try ended that did not simply end well; ``quiet`` is a Retry-After in seconds. ``trouble``
        is said where the verdict alone does not tell it."""
        now = node.now()
        seconds = now - began
        if not 0.0 <= seconds < inf:
            verdict = verdict if verdict.failure else Verdict.NEUTRAL
            seconds = 0.0
        with self.lock:
            # What began before the last turn decides nothing; it is only counted.
            current = probe or (
                began >= node.back_at if node.state is State.HEALTHY else began > node.ejected_at
            )
            if verdict in TROUBLE:
                self.troubles[trouble or TROUBLE[verdict]] += 1
            if verdict is Verdict.NEUTRAL:
                node.said_nothing(seconds)
                if probe and node.state is State.PROBING:
                    node.state = State.WAITING
                    self._stir()
            elif verdict is Verdict.OVERLOAD:
                node.failed(mean, seconds, now, overload=True)
                node.quiet_until = now + min(max(quiet if quiet is not None else 1.0, 0.0), MOST_QUIET)
                if probe and node.state is State.PROBING:
                    self._restore(node, now)  # busy, but there
                self._stir()
            elif verdict.failure:
                node.failed(mean, seconds, now)
                node.connects = node.connects + 1 if verdict.unsent else 0
                node.silences = node.silences + 1 if verdict is Verdict.TIMED_OUT else 0
                if current:
                    self._condemn(node, verdict, began, now, probe)
            else:
                if verdict is Verdict.FAULT:
                    node.faulted(mean, seconds, now)
                else:
                    node.answered(mean, seconds, now)
                if node.state is not State.HEALTHY and current:
                    self._restore(node, now)
        self.tell()

    def recovered(self, node: Node, began: float) -> None:
        """A copy that is not healthy has given a good answer, already learnt."""
        with self.lock:
            if node.state is not State.HEALTHY and began > node.ejected_at:
                self._restore(node, node.now())
        self.tell()

    def _condemn(self, node: Node, verdict: Verdict, began: float, now: float, probe: bool) -> None:
        closed = verdict is Verdict.REFUSED
        if node.state is not State.HEALTHY:
            if (probe and node.state is State.PROBING) or node.state is State.WAITING:
                self._eject(node, Why.REFUSED if closed else node.why or Why.ROW, now)
            return
        if closed:
            why: Why | None = Why.REFUSED
        elif node.connects >= CONNECTS:
            why = Why.CONNECT
        elif node.row >= IN_A_ROW:
            why = Why.ROW
        elif node.silences >= SILENCES and self.others_answer(node, began):
            why = Why.SILENT
        else:
            good, bad, _ = node.lately(now)
            why = Why.SHARE if good + bad >= VOLUME and good < SHARE * (good + bad) else None
        if why is not None and self._may_eject(closed):
            self._eject(node, why, now)

    def _may_eject(self, closed: bool) -> bool:
        n = len(self.up)
        if n <= 1:
            return False
        # A closed port is a fact, not an opinion: nothing is gained by keeping such a copy in.
        return closed or sum(one.state is not State.HEALTHY for one in self.up) < max(1, n // 2)

    def _eject(self, node: Node, why: Why, now: float) -> None:
        if node.state is State.HEALTHY and node.back_at:
            forgiven = int((now - node.back_at) / FORGIVE)
            node.ejections = max(0, node.ejections - forgiven)
            node.refusals = max(0, node.refusals - forgiven)
        if why is Why.REFUSED:
            seconds = min(LONGEST_REFUSED, FIRST_REFUSED * 2.0 ** min(node.refusals, 16))
            node.refusals += 1
        else:
            seconds = min(LONGEST, FIRST * 2.0 ** min(node.ejections, 16))
            node.ejections += 1
        self._suspend(node, why, seconds * self._rng.uniform(1.0, 1.1), now)

    def _suspend(self, node: Node, why: Why, seconds: float, now: float) -> None:
        node.state, node.why = State.EJECTED, why
        node.ejected_at = now
        node.until = now + seconds
        self._stir()
        self._news.append(
            InstanceEjected(
                at=self._clock.time(),
                service=self.service,
                instance=node.instance.id,
                seconds=seconds,
                reason=why.value,
            )
        )

    def _restore(self, node: Node, now: float) -> None:
        node.state, node.why = State.HEALTHY, None
        node.row = node.connects = node.silences = 0
        node.ring.clear()  # what led to the ejection has been paid for
        node.turn = 0.0
        node.back_at = node.ramp_from = now
        self._stir()
        self._news.append(
            InstanceRestored(at=self._clock.time(), service=self.service, instance=node.instance.id)
        )

    def tell(self) -> None:
        """Publish what was noted; with no lock held."""
        while self._news:
            try:
                event = self._news.pop(0)
            except IndexError:  # another thread was quicker
                return
            self._publish(event)

    # -- by hand --

    def set_by_hand(self, id: str, *, drained: bool | None = None, eject: float | None = None) -> None:
        """Drain or undrain; eject for so many seconds, 0 to restore."""
        with self.lock:
            node, now = self.find(id), self.now()
            if drained is not None:
                node.drained = drained
            if eject:
                self._suspend(node, Why.MANUAL, eject, now)
            elif eject is not None and node.state is not State.HEALTHY:
                self._restore(node, now)
            self._stir()
        self.tell()

    # -- keeping up --

    def _stir(self) -> None:
        """Health has changed: the next pick looks again."""
        self._dirty = True
        self.calm = -inf

    def _rest(self, due: float) -> None:
        """Nothing happens by itself before ``due``."""
        self._due = min(self._due, due)
        self.calm = -inf if self.waiting or self._dirty or not self.usable else self._due

    def _refresh(self, instances: Sequence[Instance], now: float) -> None:
        if instances is not self.snapshot:
            self.adopt(instances, now)
        self._dirty = False
        self._due = inf
        due, closed = inf, 0
        self.waiting = []
        # A list of its own, for there may be ten thousand of them, and nearly all are well.
        restless = [node for node in self.up if node.state or node.drained or node.quiet_until > now]
        for node in restless:
            if node.state is State.EJECTED and now >= node.until:
                self._probation(node, now)
            elif node.state is State.PROBING and now >= node.probe_until:
                node.state = State.WAITING  # whoever had it never came back
            if node.drained:
                continue
            if node.state is State.HEALTHY:
                due = min(due, node.quiet_until)
                continue
            closed += node.why is Why.REFUSED
            if node.state is State.WAITING:
                self.waiting.append(node)
            else:
                due = min(due, node.until if node.state is State.EJECTED else node.probe_until)
        others = set(restless)
        calm = [node for node in self.up if node not in others] if others else self.up
        due = min(due, self.weigh(calm, now))
        self._settle(calm, closed, now)
        self._rest(due)

    def _settle(self, calm: list[Node], closed: int, now: float) -> None:
        panic = len(calm) < 0.5 * (len(self.up) - closed)
        if panic or not calm:
            # Too few are left to carry all of the load: health is ignored. Not for closed ports,
            # unless there is nothing else.
            able = [node for node in self.up if not node.drained]
            calm = [node for node in able if not node.closed] or able
        if panic and not self.panic:
            self.panics += 1
        self.panic = panic
        carrying = [node for node in calm if node.weight > 0.0]
        if not carrying:
            for node in calm:
                node.weight = 1.0
        self.usable = Candidates(carrying or calm, zones=self.zones, panic=panic)

    def _probation(self, node: Node, now: float) -> None:
        node.state = State.WAITING
        node.measured(1.0, now)  # as good as the average until it shows
        node.goods = node.bads = 0.0
        node.row = IN_A_ROW - 1

    def after_fork(self) -> None:
        """In the child: whoever held our locks is not here."""
        self.lock = RLock()
        self.budget = Budget()

    def usual(self, command: str) -> Mean:
        """What ``command`` usually takes; beyond ``COMMANDS`` names they share one."""
        mean = self.means.get(command)
        if mean is None:
            if len(self.means) >= COMMANDS:
                return self.mean
            mean = self.means.setdefault(command, Mean())
        return mean
