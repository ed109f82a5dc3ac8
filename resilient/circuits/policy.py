"""When a circuit opens, how it closes again, and what each result and error means to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self, TypeGuard, get_type_hints

from ..errors import CallRejected, ConfigError, NoInstance, RegistryError
from .replies import callers_fault, never_failed, server_error, status_of

__all__ = [
    "CircuitPolicy",
    "Exclusion",
    "Outcome",
    "callers_fault",
    "never_failed",
    "server_error",
    "status_of",
]

Exclusion = type[BaseException] | Callable[[Any], bool]


class Outcome(IntEnum):
    """How one call ended. The first three make the error rate; numbers are columns of the window."""

    SUCCESS = 0
    FAILURE = 1
    TIMEOUT = 2
    EXCLUDED = 3  # the service answered, the question was wrong: a trial that ends so is good
    VOID = 4  # nobody was asked, or nobody waited: it says nothing
    SHORT_CIRCUITED = 5
    REJECTED = 6

    @property
    def word(self) -> str:
        """The outcome's name on our wires and pages."""
        return self.name.lower()


# Looking a member up in its class takes 60 ns on Python 3.11, and a failing call would do it ten times.
SUCCESS, FAILURE, TIMEOUT, EXCLUDED, VOID, SHORT_CIRCUITED, REJECTED = Outcome


def _require(good: bool, rule: str, value: object) -> None:
    if not good:
        raise ConfigError(f"{rule}, got {value!r}")


def _number(value: Any) -> TypeGuard[float]:
    # bool is an int to Python, but timeout=True is surely a mistake.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(name: str, value: float | None, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    good = _number(value) and 0 < value < math.inf
    _require(good, f"{name} must be {'None or ' if optional else ''}a number of seconds above 0", value)


def _whole(name: str, value: int | None, *, optional: bool = False) -> None:
    if value is None and optional:
        return
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    _require(good, f"{name} must be {'None or ' if optional else ''}a whole number of at least 1", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPolicy:
    """Everything about one circuit that can be set. Durations are seconds; a wrong value is a ConfigError.

    A closed circuit opens when, over the last ``window`` seconds, at least ``min_calls`` calls ended and
    at least the share ``error_rate`` of them failed; or, if ``fail_max`` is given, at so many failures in
    a row. It then refuses for ``reset_timeout`` and lets ``trials`` calls at a time try;
    ``success_threshold`` good trials close it, one bad trial opens it again. A trial that has not ended
    after ``trial_timeout`` (twice ``timeout``, or 60 s, unless given) counts as failed. With
    ``slow_duration`` it also opens when the share ``slow_rate`` of calls took longer than that, and a trial
    that did has failed.

    Each trial that fails multiplies the next wait by ``reset_multiplier``, up to ``reset_max``; every wait is
    stretched by a random share of up to ``reset_jitter``, so that many processes do not try in step. A trial
    answered by 429 or 503 with ``Retry-After`` is believed, up to 300 s.

    ``timeout`` bounds one call: an ``async def`` is cancelled and raises
    :class:`~resilient.errors.CallTimeout`; a ``def`` cannot be interrupted, so sessions inside it take what
    is left as their socket timeout, and a good late result is returned, counted as a success and shown as
    late. ``max_concurrent`` bounds the calls under way. ``None`` switches either off.

    ``exclude`` lists errors (types or predicates) that mean the service answered and the caller was wrong:
    they never open a circuit, and a trial that ends so closes it. ``ignore`` lists errors that say nothing at
    all. ``failed`` says whether a *returned* value speaks against the service; by default an HTTP response
    with status 5xx, 408, 425 or 429 does. ``observe=True`` measures and tells but never refuses.

    ``fallback_max_concurrent`` bounds the fallbacks under way, ``fallback_timeout`` the seconds that each
    step of them may take where it is awaited. ``isolation="thread"`` runs plain functions in threads of the
    circuit's own, ``pool_size`` at most and without a queue, so that the caller is released when the time is
    up; circuits that name one ``thread_pool`` share it. ``idle_timeout`` bounds the seconds between two items
    of an async generator; ``timeout`` is the time until the first one.

    The algorithm is that of Netflix Hystrix (rolling window, volume threshold, error percentage, trial),
    with permits bound to a generation so that a late answer cannot decide about a state it never saw.
    """

    error_rate: float = 0.5
    min_calls: int = 20
    window: float = 10.0
    slices: int = 10
    fail_max: int | None = None
    reset_timeout: float = 5.0
    trials: int = 1
    success_threshold: int = 1
    trial_timeout: float | None = None
    timeout: float | None = 5.0
    max_concurrent: int | None = 100
    count_rejections: bool = True
    exclude: tuple[Exclusion, ...] = (callers_fault,)
    ignore: tuple[Exclusion, ...] = ()
    failed: Callable[[Any], bool] = server_error
    observe: bool = False
    slow_duration: float | None = None
    slow_rate: float = 1.0
    reset_multiplier: float = 1.0
    reset_max: float = 60.0
    reset_jitter: float = 0.1
    fallback_max_concurrent: int | None = 100
    fallback_timeout: float | None = 1.0
    isolation: str = "caller"
    thread_pool: str = ""
    pool_size: int = 10
    idle_timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("error_rate", "slow_rate"):
            rate = getattr(self, name)
            _require(_number(rate) and 0 < rate <= 1, f"{name} must be a share in (0, 1]", rate)
        _whole("min_calls", self.min_calls)
        _positive("window", self.window)
        _whole("slices", self.slices)
        _whole("fail_max", self.fail_max, optional=True)
        _positive("reset_timeout", self.reset_timeout)
        _whole("trials", self.trials)
        _whole("success_threshold", self.success_threshold)
        _positive("trial_timeout", self.trial_timeout, optional=True)
        _positive("timeout", self.timeout, optional=True)
        _whole("max_concurrent", self.max_concurrent, optional=True)
        _positive("slow_duration", self.slow_duration, optional=True)
        factor, jitter = self.reset_multiplier, self.reset_jitter
        _require(_number(factor) and 1 <= factor < 100, "reset_multiplier must be from 1 to 100", factor)
        _positive("reset_max", self.reset_max)
        _require(_number(jitter) and 0 <= jitter <= 1, "reset_jitter must be a share in [0, 1]", jitter)
        _whole("fallback_max_concurrent", self.fallback_max_concurrent, optional=True)
        _positive("fallback_timeout", self.fallback_timeout, optional=True)
        for name in ("count_rejections", "observe"):
            on = getattr(self, name)
            _require(isinstance(on, bool), f"{name} must be True or False", on)
        where = self.isolation
        _require(where in ("caller", "thread"), "isolation must be 'caller' or 'thread'", where)
        _require(isinstance(self.thread_pool, str), "thread_pool must be a name", self.thread_pool)
        _whole("pool_size", self.pool_size)
        _positive("idle_timeout", self.idle_timeout, optional=True)
        for name in ("exclude", "ignore"):
            listed = getattr(self, name)
            if isinstance(listed, type) or callable(listed):
                listed = (listed,)
            _require(
                isinstance(listed, tuple | list | set | frozenset) and all(callable(one) for one in listed),
                f"{name} must be exception types or predicates, in a tuple",
                getattr(self, name),
            )
            object.__setattr__(self, name, tuple(listed))
        _require(callable(self.failed), "failed must be a function of the result", self.failed)

    @classmethod
    def hystrix(cls, **changes: Any) -> Self:
        """Hystrix's own defaults: 1 s timeout, 10 at a time, 20 calls, 50 %, 5 s, 10 s window."""
        preset: dict[str, Any] = {
            "timeout": 1.0,
            "max_concurrent": 10,
            "reset_jitter": 0.0,
            "fallback_max_concurrent": 10,
            "fallback_timeout": None,
        }
        return cls(**{**preset, **changes})

    @classmethod
    def pybreaker(cls, **changes: Any) -> Self:
        """pybreaker's own defaults: 5 failures in a row open it, 60 s later a trial; no timeout, no limit."""
        preset: dict[str, Any] = {
            "fail_max": 5,
            "reset_timeout": 60.0,
            "reset_jitter": 0.0,
            "timeout": None,
            "max_concurrent": None,
            "min_calls": 1_000_000_000,
            "exclude": (),
            "failed": never_failed,
        }
        return cls(**{**preset, **changes})

    def but(self, **changes: Any) -> Self:
        """The same policy with some values changed; an unknown name is a ConfigError with a hint."""
        check_names(changes)
        return dataclasses.replace(self, **changes)

    def override(self, raw: Mapping[str, str], source: str = "") -> Self:
        """The same policy with values read from text, as the environment gives them.

        Numbers, ``none``/``off`` for values that may be ``None``, ``true``/``false`` for switches. Raises
        ConfigError naming ``source`` and the value where the text makes no sense.
        """
        changes: dict[str, Any] = {}
        for name, text in raw.items():
            where = f"{source}{name.upper()}" if source else name
            if name not in _FROM_TEXT:
                raise ConfigError(f"{where}: no such circuit setting; known: {', '.join(sorted(_FROM_TEXT))}")
            try:
                changes[name] = _FROM_TEXT[name](text.strip().lower())
            except ValueError:
                raise ConfigError(f"{where}={text!r} is not a value for {name}") from None
        try:
            return dataclasses.replace(self, **changes)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}" if source else str(error)) from None

    @property
    def longest_trial(self) -> float:
        """Seconds after which a trial that has not ended counts as failed."""
        if self.trial_timeout is not None:
            return self.trial_timeout
        return 2 * self.timeout if self.timeout is not None else 60.0

    def classify(self, error: BaseException, exclude: tuple[Exclusion, ...] | None = None) -> Outcome:
        """What an error says about the service. ``exclude`` stands in for the policy's own list."""
        if exclude is None:
            exclude = self.exclude
        if not isinstance(error, Exception):
            return VOID  # cancelled, Ctrl-C, exit: nobody waited for an answer
        if isinstance(error, BaseExceptionGroup):
            return max((self.classify(leaf, exclude) for leaf in error.exceptions), key=_WEIGHT.__getitem__)
        if self.ignore and _listed(error, self.ignore):
            return VOID
        if isinstance(error, RegistryError) or (isinstance(error, NoInstance) and error.undecided):
            return VOID  # there is no directory yet: this is not the service's doing
        if not isinstance(error, CallRejected) and _listed(error, exclude):
            return EXCLUDED
        return FAILURE

    def verdict(self, result: object) -> Outcome:
        """What a returned value says about the service."""
        if self.failed is never_failed:
            return Outcome.SUCCESS
        if self.failed(result):
            return Outcome.FAILURE
        return Outcome.EXCLUDED if callers_fault(result) and self.exclude else Outcome.SUCCESS


_WEIGHT = {Outcome.VOID: 0, Outcome.EXCLUDED: 1, Outcome.FAILURE: 2}


def _listed(error: BaseException, listed: tuple[Exclusion, ...]) -> bool:
    for one in listed:
        if isinstance(one, type):
            if isinstance(error, one):
                return True
        elif one(error):
            return True
    return False


def check_names(given: Mapping[str, object]) -> None:
    """Raise ConfigError if ``given`` has a name that is no policy field, with the nearest one as a hint."""
    known = [f.name for f in dataclasses.fields(CircuitPolicy)]
    for name in given:
        if name in known:
            continue
        if name in ALIASES:
            raise ConfigError(f"{name!r} is called {ALIASES[name]!r} here")
        import difflib

        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
        raise ConfigError(f"no circuit setting {name!r}{hint}")


#: Other libraries' names for the same settings (Hystrix, resilience4j, circuitbreaker), for helpful errors.
ALIASES: Mapping[str, str] = {
    "failure_threshold": "fail_max",
    "recovery_timeout": "reset_timeout",
    "expected_exception": "exclude",
    "failure_rate_threshold": "error_rate",
    "error_threshold": "error_rate",
    "minimum_number_of_calls": "min_calls",
    "volume_threshold": "min_calls",
    "request_volume_threshold": "min_calls",
    "sleep_window": "reset_timeout",
    "timeout_duration": "reset_timeout",
    "wait_duration_in_open_state": "reset_timeout",
    "permitted_number_of_calls_in_half_open_state": "trials",
    "half_open_max_calls": "trials",
    "sliding_window_size": "window",
    "max_concurrent_calls": "max_concurrent",
    "limit": "max_concurrent",
    "exclude_exceptions": "exclude",
    "ignore_exceptions": "ignore",
    "slow_call_duration": "slow_duration",
    "slow_call_duration_threshold": "slow_duration",
    "slow_call_rate": "slow_rate",
    "slow_call_rate_threshold": "slow_rate",
    "sleep_multiplier": "reset_multiplier",
    "max_sleep_window": "reset_max",
    "sleep_jitter": "reset_jitter",
    "thread_pool_key": "thread_pool",
    "core_size": "pool_size",
    "stream_idle_timeout": "idle_timeout",
}


def _optional(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text in ("none", "off", "") else kind(text)


def _switch(text: str) -> bool:
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _readers() -> dict[str, Callable[[str], Any]]:
    kinds: dict[object, Callable[[str], Any]] = {
        float: float,
        int: int,
        bool: _switch,
        float | None: _optional(float),
        int | None: _optional(int),
    }
    hints = get_type_hints(CircuitPolicy)
    return {f.name: kinds[hints[f.name]] for f in dataclasses.fields(CircuitPolicy) if hints[f.name] in kinds}


_FROM_TEXT = _readers()

#: The settings that the environment can give as text.
TEXT_OPTIONS = tuple(_FROM_TEXT)
