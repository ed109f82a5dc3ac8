"""Forced outcomes: circuits that are open, functions that fail, for the length of a block."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..circuits.circuit import Circuit
from ..circuits.guard import Guard
from ..circuits.policy import CircuitPolicy
from ..decorators import CircuitHandle, Protected
from ..errors import ConfigError
from ..runtime import _guards, current, find_circuit


@contextlib.contextmanager
def opened(target: Any, seconds: float = math.inf, *, reason: str = "opened by a test") -> Iterator[Circuit]:
    """Hold a circuit open for this block: ``with opened(order): ...``.

    ``target`` is a decorated function or method, a handle (``circuit("payments")``), a Circuit, or a name;
    a service that is called outside any circuit has one of its own name. Every call is refused, as in real
    life: fallbacks answer, refusals are counted. ``seconds`` of the runtime's clock later it closes by
    itself. Afterwards it is closed with a clean window, or open if it was so before.

    Raises ConfigError for what has no circuit, also because of ``RESILIENT_ENABLED=0``.
    """
    circuit = _circuit(target)
    before = circuit.state
    circuit.open(seconds, reason=reason)
    try:
        yield circuit
    finally:
        circuit.close()
        if before != "closed":
            circuit.open()


class StandIn:
    """What came through the circuit meanwhile: ``calls`` as (args, kwargs); refused ones did not come."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self._lock = threading.Lock()

    def _count(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        with self._lock:
            self.calls.append((args, kwargs))
            return len(self.calls)

    def __repr__(self) -> str:
        return f"<StandIn: {len(self.calls)} calls>"


@contextlib.contextmanager
def failing(
    target: Any,
    error: BaseException | type[BaseException] | None = None,
    *,
    times: int | None = None,
) -> Iterator[StandIn]:
    """Let a protected function raise ``error`` for this block: ``with failing(order, KeyError("x")): ...``.

    The function is replaced inside its circuit, so circuit, fallback and counts behave as in real life,
    whoever calls it and by whatever name it was imported. ``error`` is an exception (by default a
    ConnectionError) or its class. With ``times`` only so many calls fail, then the function itself answers.

    Raises ConfigError for anything but a function or method under ``@circuit``.
    """
    thrown: Any = ConnectionError("made to fail by a test") if error is None else error
    if not (isinstance(thrown, BaseException) or _is_error_class(thrown)):
        raise ConfigError(f"failing() takes an exception or its class, got {thrown!r}; see also replaced()")

    def fail(*args: Any, **kwargs: Any) -> Any:
        # Without the traceback of the last time, which would hold that call's frames.
        raise thrown.with_traceback(None) if isinstance(thrown, BaseException) else thrown()

    with _stand_in(target, fail, times) as stand_in:
        yield stand_in


@contextlib.contextmanager
def replaced(target: Any, function: Callable[..., Any], *, times: int | None = None) -> Iterator[StandIn]:
    """Let another function answer for this block: ``with replaced(order, lambda id: {"id": id}): ...``.

    It gets the caller's arguments (below ``@circuit``, but above ``@balanced``: no base URL) and may be
    plain even where the function is async. With ``times`` it answers so many calls, then the function
    itself does. Raises ConfigError for anything but a function or method under ``@circuit``.
    """
    if not callable(function):
        raise ConfigError(f"replaced() takes a function, got {function!r}; for a value: lambda *_: value")
    with _stand_in(target, function, times) as stand_in:
        yield stand_in


@contextlib.contextmanager
def _stand_in(target: Any, function: Callable[..., Any], times: int | None) -> Iterator[StandIn]:
    protected: Any = _protected(target)
    original = protected._function
    seen = StandIn()

    def chosen(args: Any, kwargs: Any) -> Any:
        turn = seen._count(args, kwargs)
        return function if times is None or turn <= times else original

    if _is_async(original):

        @functools.wraps(original)
        async def stand_in(*args: Any, **kwargs: Any) -> Any:
            answer = chosen(args, kwargs)(*args, **kwargs)
            return await answer if inspect.isawaitable(answer) else answer

    else:
        if _is_async(function):
            raise ConfigError(f"{protected!r} is a plain function; so must be what stands in for it")

        @functools.wraps(original)
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            return chosen(args, kwargs)(*args, **kwargs)

    shell = protected.func
    protected._function = stand_in
    _set_shell(protected, protected.options())  # options() puts _function behind the same circuit anew
    try:
        yield seen
    finally:
        protected._function = original
        _set_shell(protected, shell)


def _set_shell(protected: Any, shell: Callable[..., Any]) -> None:
    # Protected is a partial, and this is the one way to give a partial another function: in place, so that
    # everybody who has imported it calls the new one. It costs production code nothing.
    functools.partial.__setstate__(protected, (shell, (), {}, protected.__dict__))  # type: ignore[attr-defined]


def _protected(target: Any) -> Protected[..., Any]:
    found = inspect.unwrap(getattr(target, "__func__", target), stop=lambda one: isinstance(one, Protected))
    if isinstance(found, Protected):
        return found
    raise ConfigError(f"{target!r} is no function or method under @circuit, so nothing can stand in for it")


def _circuit(target: Any) -> Circuit:
    if isinstance(target, Circuit):
        return target
    if isinstance(target, str):
        return current().circuits.of(_guard(target))
    if not isinstance(target, CircuitHandle):
        target = _protected(target)
    if getattr(target, "_enabled", True) is False:
        raise ConfigError(f"{target!r} was decorated with RESILIENT_ENABLED=0: its circuit refuses nobody")
    found: Circuit = target.circuit
    return found


def _guard(name: str) -> Guard:
    """The guard of that name as somebody wrote it; else a service's own, which is made at its first call."""
    found = [guard for guard in list(_guards) if guard.name == name]
    found.sort(key=lambda guard: guard.explicit)
    return found[-1] if found else Guard(name, CircuitPolicy(), find_circuit)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - what it is matters, not whether
    )


def _is_error_class(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseException)
