"""``@retry``: repeat a harmless call after a little while, as often as its circuit, time and budget allow."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from random import Random, SystemRandom
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from .balanced import ANY
from .balancing.budget import Budget
from .balancing.dialect import RETRYABLE, parse_retry_after, status_of
from .circuits.attempt import Attempt, current_attempt, watch
from .clock import SYSTEM, Clock
from .errors import CallRejected, ConfigError

P = ParamSpec("P")
R = TypeVar("R")

Trouble = type[BaseException] | Callable[[Exception], bool]

#: Seconds that must be left for another attempt to be worth making.
MIN_LEFT = 0.05
#: The longest Retry-After, in seconds, that is waited for; who says more is taken at his word: not now.
MOST_TOLD = 5.0


class _Retry(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def retry(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def retry(
    name: str | None = None,
    /,
    *,
    attempts: int = ...,
    on: Trouble | tuple[Trouble, ...] | None = ...,
    base: float = ...,
    cap: float = ...,
    clock: Clock = ...,
    rng: Random | None = ...,
    sleep: Callable[[float], Any] | None = ...,
) -> _Retry: ...
def retry(
    first: Any = None,
    /,
    *,
    attempts: int = 3,
    on: Trouble | tuple[Trouble, ...] | None = None,
    base: float = 0.025,
    cap: float = 1.0,
    clock: Clock = SYSTEM,
    rng: Random | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Any:
    """Repeat a call that failed, at most ``attempts`` times in all::

        @circuit(default=None)
        @retry(on=psycopg.OperationalError)
        async def customer(id: int) -> dict | None: ...

    Writing it says that calling twice does no more than calling once. Below ``@circuit``: the circuit sees
    one call with one end, and its deadline is for all attempts together. The other order is a ConfigError
    when the module is imported.

    ``on`` names errors, or predicates of errors. Without it: connections that fail or break, timeouts, and
    errors that carry HTTP status 408, 425, 502, 503, 504 (429 only with a ``Retry-After``). What a circuit
    or the balancer refused is only repeated if ``on`` names it. Before each repetition it sleeps a random
    time of up to ``base`` seconds, then twice as much, at most ``cap``; a ``Retry-After`` that the error
    carries is waited for in addition if it is at most 5 s.

    It stops, with the last error as it is, when the circuit has turned meanwhile, when it would sleep past
    the deadline or leave less than 50 ms of it, and when the budget is used up: retries of 20 % of the last
    ten seconds' calls and 3 a second, for all functions that share a ``name``. ``clock``, ``rng`` and
    ``sleep`` are for tests.
    """
    function = None
    if first is not None and not isinstance(first, str):
        function, first = first, None
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
        raise ConfigError(f"attempts must be a whole number above 0, got {attempts!r}")
    for setting, seconds in (("base", base), ("cap", cap)):
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
            raise ConfigError(f"{setting} must be seconds, 0 or more, got {seconds!r}")
    listed = on if isinstance(on, tuple) or on is None else (on,)
    if listed is not None and not all(callable(one) for one in listed):
        raise ConfigError(f"on must be exception types or predicates, in a tuple, got {on!r}")

    def repeat(function: Any) -> Any:
        _check(function)
        if os.environ.get("RESILIENT_ENABLED", "1").strip().lower() in ("0", "false", "no", "off"):
            return function
        watch()
        account = _account(first, clock) if first else _Account()
        rules = _Rules(attempts, listed, base, cap, clock, rng or _RNG, account)
        if inspect.iscoroutinefunction(function):
            shell = _coroutine(function, rules, sleep or asyncio.sleep)
        else:
            shell = _plain(function, rules, sleep or time.sleep)
        functools.update_wrapper(shell, function)
        shell.repeats = True
        return shell

    return repeat if function is None else repeat(function)


#: The operating system's, because forked workers would inherit another one's state and wait equally long.
_RNG = SystemRandom()


class _Account:
    """A budget that several functions may share; forgotten with the last one of them."""

    __slots__ = ("__weakref__", "budget")

    def __init__(self) -> None:
        self.budget = Budget()


_accounts: weakref.WeakValueDictionary[tuple[str, Clock], _Account] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _account(name: str, clock: Clock) -> _Account:
    with _lock:
        found = _accounts.get((name, clock))
        if found is None:
            found = _accounts[name, clock] = _Account()
        return found


class _Rules:
    """What one decorator says."""

    __slots__ = ("_account", "_base", "_cap", "_on", "_rng", "attempts", "budget", "clock")

    def __init__(
        self,
        attempts: int,
        on: tuple[Trouble, ...] | None,
        base: float,
        cap: float,
        clock: Clock,
        rng: Random,
        account: _Account,
    ) -> None:
        self.attempts = attempts
        self.clock = clock
        self.budget = account.budget
        self._on = on
        self._base = base
        self._cap = cap
        self._rng = rng
        self._account = account  # alive as long as somebody uses it

    def pause(self, error: Exception, number: int) -> float | None:
        """Seconds to wait after attempt ``number`` (from 1) ended so; ``None``: no case for a retry."""
        told = self._told(error)
        if not self._fits(error, told) or (told is not None and told > MOST_TOLD):
            return None
        jitter = self._rng.uniform(0.0, min(self._cap, self._base * 2.0 ** min(number - 1, 60)))
        return jitter + (told or 0.0)

    def _fits(self, error: Exception, told: float | None) -> bool:
        if self._on is None:
            if isinstance(error, CallRejected):
                return False
            status = status_of(error)
            # aiohttp's parser says 400 of an answer that is not HTTP; nobody sent that status.
            if status is None or type(error.__cause__).__module__ == "aiohttp.http_exceptions":
                return ANY.judge(error).failure
            return status in RETRYABLE or (status == 429 and told is not None)
        for one in self._on:
            if not isinstance(one, type):
                if one(error):
                    return True
            elif isinstance(error, one) and (
                not isinstance(error, CallRejected) or issubclass(one, CallRejected)
            ):
                return True
        return False

    def _told(self, error: Exception) -> float | None:
        told = getattr(error, "retry_after", None)
        if isinstance(told, int | float) and not isinstance(told, bool) and told >= 0:
            return float(told)
        for owner in (error, getattr(error, "response", None)):
            get = getattr(getattr(owner, "headers", None), "get", None)
            text = get("Retry-After") if callable(get) else None
            if isinstance(text, str):
                return parse_retry_after(text, self.clock.time())
        return None


class _Course:
    """The attempts of one call."""

    __slots__ = ("_attempt", "_began", "_number", "_rules")

    def __init__(self, rules: _Rules) -> None:
        rules.budget.deposit(rules.clock.monotonic())
        self._rules = rules
        self._number = 1
        self._attempt: Attempt | None = current_attempt()
        self._began = self._attempt.began if self._attempt is not None else None

    def again(self, error: Exception) -> float | None:
        """Seconds to sleep before the next attempt; ``None``: there is none."""
        rules = self._rules
        if self._number >= rules.attempts or not self.may(0.0):
            return None
        pause = rules.pause(error, self._number)
        if pause is None or not self.may(pause):
            return None
        granted = rules.budget.withdraw(rules.clock.monotonic())
        if self._attempt is not None:
            self._attempt.retries(granted, error)
        if not granted:
            return None
        self._number += 1
        return pause

    def may(self, pause: float) -> bool:
        """Whether an attempt makes sense in that many seconds."""
        attempt = self._attempt
        if attempt is None:
            return True
        if attempt.began is not self._began or attempt.overtaken:  # its call is over, or its circuit turned
            return False
        left = attempt.remaining()
        return left is None or left >= pause + MIN_LEFT


def _coroutine(function: Any, rules: _Rules, sleep: Callable[[float], Awaitable[object]]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        course = _Course(rules)
        while True:
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                pause = course.again(error)
                if pause is None:
                    raise
                failed = error
            try:
                await sleep(pause)
                if not course.may(0.0):
                    raise failed
            finally:
                del failed  # its traceback holds this frame

    return call


def _plain(function: Any, rules: _Rules, sleep: Callable[[float], object]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        course = _Course(rules)
        while True:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                pause = course.again(error)
                if pause is None:
                    raise
                failed = error
            try:
                sleep(pause)
                if not course.may(0.0):
                    raise failed
            finally:
                del failed

    return call


def _check(function: Any) -> None:
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, staticmethod | classmethod):
        raise ConfigError(f"{name}: put @{type(function).__name__} above @retry, not below it")
    if hasattr(function, "guard"):
        raise ConfigError(
            f"{name}: put @circuit above @retry, so that the circuit sees one call with one end, "
            "and nothing is repeated against an open circuit"
        )
    if getattr(function, "repeats", False):
        raise ConfigError(f"{name}: one @retry is enough; two of them multiply")
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"@retry goes on a function, or takes a name, not {function!r}")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigError(f"{name}: a generator has given things away before it fails; it cannot be repeated")
