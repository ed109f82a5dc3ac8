"""A chosen instance for the length of one try, and the tries of one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import TracebackType
from typing import Protocol, Self

from ..model import Instance
from .dialect import RETRYABLE, STANDARD, Dialect, Verdict, judge_status, retry_after_of, status_of
from .node import Mean, Node
from .pool import NOWHERE, Pool

ENTERED, _JUDGED, PROBE, _LEFT = 1, 2, 4, 8
DONE = ENTERED | _JUDGED | _LEFT

MIN_TRY = 0.05  # seconds that must be left for another try to make sense
_BACKOFF, _MOST_BACKOFF = 0.025, 1.0  # seconds


class _Hold:
    """Keeps an instance counted as busy until released, or until nobody has it any more."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node: Node | None = node
        node.in_flight += 1

    def release(self) -> None:
        node, self._node = self._node, None
        if node is not None:
            node.in_flight -= 1

    __del__ = release


class Pick:
    """One try on one instance: enter before sending, leave when it is over.

    While entered, the instance counts as busy. Each try gets exactly one verdict: by ``answered``,
    else by how the block is left; a block that just ends well was a success.

    ``number`` is 1 for a call's first try. ``timeout`` is how many seconds this try may take,
    ``None`` if nobody set a limit.

    The counters are plain numbers: each change is one step of the interpreter, so they are exact
    under threads (of an interpreter with a global lock) without a lock on every call.
    """

    __slots__ = ("_began", "_held", "_mean", "_node", "_pool", "_stage")

    _began: float
    _held: _Hold  # there only when asked for
    _tries: Tries | None = None
    number: int = 1
    timeout: float | None = None

    def __init__(self, pool: Pool, node: Node, mean: Mean, stage: int = 0) -> None:
        self._pool = pool
        self._node = node
        self._mean = mean
        self._stage = stage

    @property
    def instance(self) -> Instance:
        """Who was chosen."""
        return self._node.instance

    @property
    def url(self) -> str:
        """Its base URL, without a trailing slash."""
        return self._node.url

    def __enter__(self) -> Self:
        stage = self._stage
        if stage & ENTERED:
            raise RuntimeError("a pick is for one try; it was entered before")
        self._stage = stage | ENTERED
        node = self._node
        node.in_flight += 1
        self._began = node.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        if kind is not None or self._stage != ENTERED:
            swallow = self._leave(error)
            if self._tries is not None:
                self._tries.pick = None
            return swallow
        self._stage = DONE
        if self._tries is not None:
            self._tries.pick = None  # no circle is left for the garbage collector
        node = self._node
        node.in_flight -= 1
        began = self._began
        now = node.now()
        seconds = now - began
        if seconds >= 0.0:
            node.answered(self._mean, seconds, now)
            if node.state:
                self._pool.recovered(node, began)
        return False

    def answered(self, status: int, retry_after: float | None = None) -> None:
        """Response headers have arrived. ``retry_after`` is that header's value in seconds.

        The first call decides; later ones are ignored.
        """
        verdict = judge_status(status, retry_after)
        self._judge(verdict, retry_after, "status" if verdict is Verdict.FAILED else "")

    def broke(self, error: BaseException) -> None:
        """The answer could not be read to its end. Says nothing if nobody waited for it any more."""
        if self._stage & ENTERED and isinstance(error, Exception):
            verdict = self._dialect.judge(error)
            judged = self._stage & _JUDGED
            self._stage |= _JUDGED
            hurried = self._hurried(verdict)
            if hurried and judged:
                return
            self._pool.learn(
                self._node,
                Verdict.NEUTRAL if hurried else verdict if verdict.failure else Verdict.FAILED,
                self._began,
                self._mean,
                probe=False,
                trouble="body" if judged else "",
            )

    def hold(self) -> None:
        """Stay counted as busy after the block, while a response is still being read."""
        if self._stage & (ENTERED | _LEFT) == ENTERED and not hasattr(self, "_held"):
            self._held = _Hold(self._node)

    def release(self) -> None:
        """The held response was read or closed. Harmless when called again, or never held."""
        if hasattr(self, "_held"):
            self._held.release()

    @property
    def _dialect(self) -> Dialect:
        return STANDARD if self._tries is None else self._tries.dialect

    def _judge(self, verdict: Verdict, retry_after: float | None = None, trouble: str = "") -> None:
        if self._stage & (_JUDGED | ENTERED) != ENTERED:
            return
        self._stage |= _JUDGED
        probe = bool(self._stage & PROBE)
        self._pool.learn(
            self._node, verdict, self._began, self._mean, probe=probe, quiet=retry_after, trouble=trouble
        )

    def _leave(self, error: BaseException | None) -> bool:
        if self._stage & (ENTERED | _LEFT) != ENTERED:
            return False
        self._stage |= _LEFT
        self._node.in_flight -= 1
        if self._stage & _JUDGED:
            if error is not None and self._dialect.judge(error).failure:
                self.broke(error)
            return False
        if error is None:
            self._judge(Verdict.GOOD)
            return False
        status = status_of(error)  # a function that raises for a status: the status decides
        if status is not None:
            wait = retry_after_of(error)
            self.answered(status, wait)
            return self._tries is not None and self._tries.grant_status(status, wait)
        verdict = self._lateness(error, self._dialect.judge(error))
        self._judge(Verdict.NEUTRAL if self._hurried(verdict) else verdict)
        return self._tries is not None and isinstance(error, Exception) and self._tries.grant_error(verdict)

    def _lateness(self, error: BaseException, verdict: Verdict) -> Verdict:
        """A call's own deadline speaks against an instance only if that had at least half its time."""
        if isinstance(error, Exception) and verdict is not Verdict.TIMED_OUT:
            return verdict
        left = self._tries.remaining() if self._tries is not None else None
        if left is None or left > 0.0 or self.timeout is None:
            return verdict
        enough = self._node.now() - self._began >= 0.5 * self.timeout
        return Verdict.TIMED_OUT if enough else Verdict.NEUTRAL

    def _hurried(self, verdict: Verdict) -> bool:
        """Whether it was given up only because the call's own caller had so little time."""
        promised = self._tries.promised if self._tries is not None else 0.0
        return (
            verdict is Verdict.TIMED_OUT
            and promised > 0.0
            and self._node.now() - self._began < 0.5 * promised
        )


class Try(Pick):
    """A pick that belongs to a call's tries; a call's first one may be without them while all goes well."""

    __slots__ = ("_tries", "number", "timeout")

    def __init__(self, pool: Pool, node: Node, mean: Mean, tries: Tries | None, stage: int = 0) -> None:
        self._pool = pool
        self._node = node
        self._mean = mean
        self._stage = stage
        self._tries = tries
        self.number = 1 if tries is None else tries.number
        self.timeout = None


class _Picker(Protocol):
    """What tries ask of their balancer."""

    def pick_for(self, tries: Tries, avoid: list[str]) -> Try: ...


class Tries:
    """The tries of one call: a plain iterator of picks, for ``def`` and ``async def`` alike.

    ::

        for pick in tries:
            if tries.pause:
                sleep(tries.pause)
            with pick:                          # swallows what may be tried again
                response = send(pick.url)
                if tries.again(response.status, retry_after):
                    response.close()
                    continue
                return response

    A try is repeated on another instance, within the service's budget and the time that is left:
    always if nothing was sent, else only if repeating is ``harmless``. A denied one leaves the last
    error, or the last response, as it is.
    """

    __slots__ = (
        "_balancer", "_begun", "_granted", "_pool", "_rng", "_same", "_stop", "_tried", "command", "dialect",
        "harmless", "key", "number", "pause", "pick", "promised", "remaining", "retries", "service", "where",
    )  # fmt: skip

    def __init__(
        self,
        balancer: _Picker,
        service: str,
        *,
        harmless: bool,
        dialect: Dialect,
        retries: int,
        remaining: Callable[[], float | None],
        stop: Callable[[], bool],
        key: str | None,
        command: str,
        rng: Random,
        where: Mapping[str, str] = NOWHERE,
    ) -> None:
        self._balancer = balancer
        self._rng = rng
        self._stop = stop
        self._granted = True  # the first one is
        self._begun: Try | None = None
        self._same = False  # the next one goes where one went before
        self._tried: list[str] = []  # instance ids, the one tried longest ago first
        self._pool: Pool | None = None
        self.service = service
        self.harmless = harmless
        self.dialect = dialect
        self.retries = retries
        self.remaining = remaining
        self.key = key
        self.where = where
        self.command = command
        self.number = 0
        self.pause = 0.0
        self.promised = 0.0  # seconds a try usually gets, where this call's caller was in a hurry
        self.pick: Pick | None = None

    def adopt(self, first: Try) -> Self:
        """Begin with a first try that was begun without us: see `Balancer.quick`."""
        first._tries = self
        self._begun = first
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pick:
        if not self._granted:
            raise StopIteration
        self._granted = False
        self.number += 1
        pick, self._begun = self._begun, None
        if pick is None:
            pick = self._balancer.pick_for(self, self._tried[1:] if self._same else self._tried)
        left = self.remaining() if pick.timeout is None else None
        if left is not None:
            more = self.retries + 1 - self.number if self.harmless else 0
            pick.timeout = max(0.0, left) / (max(0, more) + 1)
        id = pick.instance.id
        if id in self._tried:
            self._tried.remove(id)
        self._tried.append(id)
        self._pool = pick._pool
        self.pick = pick
        return pick

    def again(self, status: int, retry_after: float | None = None) -> bool:
        """Show the headers of a response; True if the call should be tried again elsewhere."""
        pick = self.pick
        if pick is None:
            return False
        pick.answered(status, retry_after)
        return self.grant_status(status, retry_after)

    def grant_status(self, status: int, retry_after: float | None) -> bool:
        """Whether a call that got this status may go on; asked by the pick."""
        if not self.harmless:
            return False
        verdict = judge_status(status, retry_after)
        if verdict is Verdict.OVERLOAD:
            left = self.remaining()
            if retry_after is None or (left is not None and retry_after > left):
                return False
        elif status not in RETRYABLE:
            return False
        return self._grant(verdict, retry_after or 0.0)

    def grant_error(self, verdict: Verdict) -> bool:
        """Whether a call that ended with an error of this kind may go on; asked by the pick."""
        if verdict.unsent or (verdict is Verdict.OVERLOAD):  # the caller's own pool was full: unsent too
            return self._grant(verdict, 0.0)
        return verdict.failure and self.harmless and self._grant(verdict, 0.0)

    def _grant(self, verdict: Verdict, wait: float) -> bool:
        pool = self._pool
        if pool is None or self._granted or self.number > self.retries or self._stop():
            return False
        where = pool.another(self._tried, unsent=verdict.unsent)
        if where is None:
            return False
        self.pause = self._backoff(verdict, where, wait)
        left = self.remaining()
        if left is not None and left < MIN_TRY + self.pause:
            return False
        if not pool.budget.withdraw(pool.now()):
            pool.exhausted += 1
            return False
        pool.retries += 1
        self._granted = True
        self._same = where == "same"
        return True

    def _backoff(self, verdict: Verdict, where: str, wait: float) -> float:
        elsewhere = where == "other" and verdict is not Verdict.OVERLOAD
        if self.number == 1 and (verdict.unsent or elsewhere):
            return 0.0
        pause = self._rng.uniform(0.0, min(_MOST_BACKOFF, _BACKOFF * 2.0 ** (self.number - 1)))
        return max(pause, wait) if where == "same" else pause
