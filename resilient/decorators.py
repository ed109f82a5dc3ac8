"""``@circuit``: the one decorator most people need."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import pybreaker

from .circuits.block import Block
from .circuits.circuit import Circuit
from .circuits.guard import Guard, Variant
from .circuits.policy import CircuitPolicy, Exclusion, check_names
from .circuits.rescue import NOTHING, Rescue
from .circuits.snapshot import CircuitSnapshot
from .circuits.wrap import derived_name, rescue_for, wrap
from .errors import ConfigError
from .runtime import find_circuit, remember
from .settings import Row
from .telemetry import otel_seams as seams

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Q = ParamSpec("Q")

_DEFAULTS = CircuitPolicy()


class PolicyOptions(TypedDict, total=False):
    """The fields of CircuitPolicy as plain keywords of ``@circuit``."""

    error_rate: float
    min_calls: int
    window: float
    slices: int
    fail_max: int | None
    reset_timeout: float
    trials: int
    success_threshold: int
    trial_timeout: float | None
    timeout: float | None
    max_concurrent: int | None
    count_rejections: bool
    exclude: Exclusion | tuple[Exclusion, ...]
    ignore: Exclusion | tuple[Exclusion, ...]
    failed: Callable[[Any], bool]
    observe: bool
    slow_duration: float | None
    slow_rate: float
    reset_multiplier: float
    reset_max: float
    reset_jitter: float
    fallback_max_concurrent: int | None
    fallback_timeout: float | None
    isolation: Literal["caller", "thread"]
    thread_pool: str
    pool_size: int
    idle_timeout: float | None


class _Hand:
    """What can be done with a circuit by whoever holds its decorated function or its handle."""

    guard: Guard
    _enabled: bool

    @property
    def circuit(self) -> Circuit:
        """The circuit itself, in the present runtime."""
        found: Circuit = self.guard.circuit or self.guard.find()
        return found

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return self.circuit.state

    def open(self, seconds: float | None = None, *, reason: str = "", by: str = "") -> None:
        """Open it by hand; for ``seconds`` without trials, if given (``math.inf``: until :meth:`close`)."""
        self.circuit.open(seconds, reason=reason, by=by)

    def close(self, seconds: float | None = None, *, reason: str = "", by: str = "") -> None:
        """Close it by hand with a clean window; held closed for ``seconds``, if given."""
        self.circuit.close(seconds, reason=reason, by=by)

    def snapshot(self) -> CircuitSnapshot:
        """The circuit at this moment: state, counts, rates, latencies."""
        return self.circuit.snapshot()

    def configure(self, *, by: str = "", **changes: Unpack[PolicyOptions]) -> CircuitPolicy:
        """Change settings at run time, all of them or none: ``order.configure(timeout=2)``.

        See :meth:`~.circuits.tuning.Tuned.configure`. Raises ConfigError.
        """
        return self.circuit.configure(by=by, **changes)

    def unconfigure(self, *names: str, by: str = "") -> CircuitPolicy:
        """Take back what was changed at run time: these settings, or all. What lies below holds again."""
        return self.circuit.untune(*names, by=by)

    def settings(self) -> list[Row]:
        """Every setting with its value, its source and the variable that can set it."""
        return self.circuit.settings()

    def attempt(self) -> Block:
        """The same circuit around a block: ``with pay.attempt() as attempt:`` (or ``async with``)."""
        block = Block(self.guard, self._enabled)
        return seams.held(self.guard, block) if self._enabled else block


if TYPE_CHECKING:

    class _Base(Generic[P, R]):
        """What type checkers see: a callable with the function's own signature."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

else:
    # A partial, because inspect, asyncio and frameworks look through it: a protected coroutine function is
    # still a coroutine function with the same signature; and because it is called by C code.
    class _Base(functools.partial):
        def __class_getitem__(cls, item):
            return cls


class Protected(_Hand, _Base[P, R]):
    """A function behind its circuit. Called like the function; also a handle on the circuit."""

    _function: Callable[..., Any]
    _rescue: Rescue | None

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(
        self: Protected[Concatenate[S, Q], R], instance: S, owner: type | None = None, /
    ) -> Protected[Q, R]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        return self if instance is None else _Bound(self, instance)

    def __reduce__(self) -> str:
        name: str = self.__qualname__  # type: ignore[attr-defined]
        return name  # pickled by name, as functions are: worker processes find their own

    def options(
        self,
        *,
        timeout: float | None = NOTHING,
        default: Any = NOTHING,
        fallback: Any = None,
    ) -> Callable[P, R]:
        """The same function for one way of calling it: ``order.options(timeout=1)(7)``.

        ``timeout`` (seconds, or ``None`` for none), ``default`` and ``fallback`` replace what the decorator
        said; the circuit, its window and its state are the same ones.
        """
        guard: Any = self.guard
        limit = self.guard.policy.timeout
        if timeout is not NOTHING:
            limit = self.guard.policy.but(timeout=timeout).timeout  # checks the value
            guard = Variant(self.guard, limit)
        rescue = self._rescue
        if default is not NOTHING or fallback is not None:
            rescue = rescue_for(self._function, default, fallback, self.guard.name)
        shell: Callable[P, R] = self._function
        if self._enabled:
            where = self.guard.policy.isolation
            shell = seams.dressed(
                guard, wrap(guard, self._function, rescue, timed=limit is not None, where=where)
            )
            functools.update_wrapper(shell, self._function)
        return shell

    def __repr__(self) -> str:
        return f"<{derived_name(self._function)} behind circuit {self.guard.name!r}>"


class _Bound(functools.partial):  # type: ignore[type-arg]
    # A protected method of one object. A partial for the same reasons as Protected, and not Python's own
    # bound method, whose options() would not know the object.

    __slots__ = ()

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.func.__doc__

    def options(self, **options: Any) -> Any:
        protected: Any = self.func
        return functools.partial(protected.options(**options), *self.args)

    def __getattr__(self, name: str) -> Any:
        if name in ("__wrapped__", "__signature__"):  # those of the function still have self in them
            raise AttributeError(name)
        return getattr(self.func, name)

    @property
    def __self__(self) -> Any:
        return self.args[0]

    @property
    def __func__(self) -> Any:
        return self.func

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bound) and self.func is other.func and self.args[0] is other.args[0]

    def __hash__(self) -> int:
        return hash((id(self.args[0]), id(self.func)))

    def __reduce__(self) -> Any:
        return getattr, (self.args[0], self.func.__name__)

    def __repr__(self) -> str:
        return f"<bound {self.func!r} of {self.args[0]!r}>"


class CircuitHandle(_Hand):
    """A circuit that is not bound to a function yet: decorate with it, or use it around a block."""

    def __init__(self, guard: Guard, default: Any, fallback: Any) -> None:
        self.guard = guard
        self._enabled = _is_enabled()
        self._default = default
        self._fallback = fallback

    def __call__(self, function: Callable[P, R]) -> Protected[P, R]:
        """Put ``function`` behind this circuit. Several functions may stand behind one."""
        return _protect(function, self.guard, self._default, self._fallback)

    def __repr__(self) -> str:
        return f"<circuit {self.guard.name!r}>"


class _Unnamed:
    """``@circuit(timeout=1)``: waits for the function it takes its name from."""

    def __init__(self, policy: CircuitPolicy, default: Any, fallback: Any, options: dict[str, Any]) -> None:
        self._policy = policy
        self._default = default
        self._fallback = fallback
        self._options = options

    def __call__(self, function: Callable[P, R]) -> Protected[P, R]:
        guard = Guard(derived_name(function), self._policy, find_circuit, derived=True, **self._options)
        remember(guard)
        return _protect(function, guard, self._default, self._fallback)


@overload
def circuit(function: Callable[P, R], /) -> Protected[P, R]: ...
@overload
def circuit(
    name: str,
    policy: CircuitPolicy | None = None,
    /,
    *,
    default: Any = ...,
    fallback: Any = ...,
    group: str = ...,
    storage: pybreaker.CircuitBreakerStorage | None = ...,
    listeners: Iterable[pybreaker.CircuitBreakerListener] = ...,
    **options: Unpack[PolicyOptions],
) -> CircuitHandle: ...
@overload
def circuit(
    policy: CircuitPolicy | None = None,
    /,
    *,
    default: Any = ...,
    fallback: Any = ...,
    group: str = ...,
    storage: pybreaker.CircuitBreakerStorage | None = ...,
    listeners: Iterable[pybreaker.CircuitBreakerListener] = ...,
    **options: Unpack[PolicyOptions],
) -> _Unnamed: ...
def circuit(
    first: Any = None,
    policy: CircuitPolicy | None = None,
    /,
    *,
    default: Any = NOTHING,
    fallback: Any = None,
    group: str = "",
    storage: pybreaker.CircuitBreakerStorage | None = None,
    listeners: Iterable[pybreaker.CircuitBreakerListener] = (),
    **options: Any,
) -> Any:
    """Put a function (``async def``, ``def``, or a method) behind a circuit breaker.

    Use it bare, with plain keywords, with a :class:`CircuitPolicy` to share, or with a name::

        @circuit
        async def price(sku): ...

        @circuit(default=None, timeout=1)
        def stock(sku): ...

        payments = circuit("payments", CircuitPolicy(fail_max=3), fallback=later)
        @payments
        async def charge(order): ...

    ``default`` is a value and ``fallback`` a function (or a list of them, tried in order) that answers when
    the call was refused, failed or took too long; a fallback gets the caller's arguments, and the error if
    it has a parameter named ``error``. ``listeners`` and ``storage`` are pybreaker's. All other keywords are
    the fields of :class:`CircuitPolicy`. The name is ``module.function`` unless given.

    Raises ConfigError, when the module is imported, for anything it does not understand. Calls raise
    CircuitOpen or CircuitFull when refused and CallTimeout when late; what the function raises arrives as
    it is.
    """
    if isinstance(first, CircuitPolicy):
        first, policy = None, first
    if isinstance(first, str):
        if not first.strip():
            raise ConfigError("a circuit needs a name: circuit('payments')")
    elif first is not None and not callable(first) and not isinstance(first, classmethod):
        raise ConfigError(f"circuit() takes a function, a name or a CircuitPolicy, got {first!r}")
    if policy is not None and not isinstance(policy, CircuitPolicy):
        raise ConfigError(f"circuit() takes a CircuitPolicy after the name, got {policy!r}")
    check_names(options)
    chosen = policy or _DEFAULTS
    if options:
        chosen = chosen.but(**options)
    parts: dict[str, Any] = {"group": group, "storage": storage, "listeners": listeners}
    parts["explicit"] = policy is not None or bool(options)
    if not isinstance(first, str):
        unnamed = _Unnamed(chosen, default, fallback, parts)
        return unnamed if first is None else unnamed(first)
    guard = Guard(first, chosen, find_circuit, **parts)
    remember(guard)
    return CircuitHandle(guard, default, fallback)


def _is_enabled() -> bool:
    return os.environ.get("RESILIENT_ENABLED", "1").strip().lower() not in ("0", "false", "no", "off")


def _protect(function: Callable[P, R], guard: Guard, default: Any, fallback: Any) -> Protected[P, R]:
    name = guard.name
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise ConfigError(f"{name}: put @{kind} above @circuit, not below it")
    if above := getattr(function, "stands_above_circuit", ""):
        raise ConfigError(f"{name}: put {above} above @circuit; docs/calls.md has the order")
    if inspect.isclass(function) or not callable(function):
        raise ConfigError(f"{name}: @circuit goes on a function or method, not on {function!r}")
    if isinstance(function, Protected):
        raise ConfigError(f"{name}: this function stands behind circuit {function.guard.name!r} already")
    rescue = rescue_for(function, default, fallback, name)
    enabled = _is_enabled()
    shell: Callable[..., Any] = function
    if enabled:
        policy = guard.policy
        shell = wrap(guard, function, rescue, timed=policy.timeout is not None, where=policy.isolation)
    protected = cast("Protected[P, R]", Protected(shell))  # type: ignore[call-arg]
    functools.update_wrapper(protected, function)
    protected.guard = guard
    protected._function = function
    protected._rescue = rescue
    protected._enabled = enabled
    if enabled:
        seams.keep(protected, guard)
    return protected
