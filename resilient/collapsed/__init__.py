"""``@collapsed``: single calls that come within a few milliseconds become one call for many."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from ..errors import ConfigError
from .loops import Loops
from .rules import CollapseSnapshot, Rules
from .threads import Threads

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)

__all__ = ["CollapseSnapshot", "Collapsed", "collapsed"]


class Collapsed(Protocol[P, R]):
    """A function of one key, made of a function of many."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def flush(self) -> None:
        """Call the open batches now: this loop's, or all threads'."""

    def snapshot(self) -> CollapseSnapshot:
        """How many batches were called for how many callers."""
        ...

    @overload
    def __get__(self, instance: None, owner: type, /) -> Collapsed[P, R]: ...
    @overload
    def __get__(
        self: Collapsed[Concatenate[S, Q], R], instance: S, owner: type | None = None, /
    ) -> Collapsed[Q, R]: ...


Answers = Sequence[V | BaseException] | Mapping[K, V | BaseException]


class _Collapse(Protocol):
    @overload
    def __call__(
        self, many: Callable[[list[K]], Awaitable[Answers[V, K]]], /
    ) -> Collapsed[[K], Coroutine[Any, Any, V]]: ...
    @overload
    def __call__(
        self, many: Callable[[S, list[K]], Awaitable[Answers[V, K]]], /
    ) -> Collapsed[[S, K], Coroutine[Any, Any, V]]: ...
    @overload
    def __call__(self, many: Callable[[list[K]], Answers[V, K]], /) -> Collapsed[[K], V]: ...
    @overload
    def __call__(self, many: Callable[[S, list[K]], Answers[V, K]], /) -> Collapsed[[S, K], V]: ...


@overload
def collapsed(*, max_batch: int = ..., wait: float = ..., max_pending: int = ...) -> _Collapse: ...
@overload
def collapsed(
    many: Callable[[list[K]], Awaitable[Answers[V, K]]], /
) -> Collapsed[[K], Coroutine[Any, Any, V]]: ...
@overload
def collapsed(
    many: Callable[[S, list[K]], Awaitable[Answers[V, K]]], /
) -> Collapsed[[S, K], Coroutine[Any, Any, V]]: ...
@overload
def collapsed(many: Callable[[list[K]], Answers[V, K]], /) -> Collapsed[[K], V]: ...
@overload
def collapsed(many: Callable[[S, list[K]], Answers[V, K]], /) -> Collapsed[[S, K], V]: ...
def collapsed(
    many: Any = None, /, *, max_batch: int = 100, wait: float = 0.01, max_pending: int = 10_000
) -> Any:
    """Turn a function of many keys into a function of one, whose calls are collected::

        @collapsed(max_batch=50)
        @circuit
        async def price(skus: list[str]) -> dict[str, float]: ...

        await price("anvil")

    The first call opens a batch; it is called ``wait`` seconds later, or once it has ``max_batch`` different
    keys, or by ``price.flush()``. The batch function gets a list of different keys and returns a list of as
    many values in that order, or a mapping. Each caller gets his own value; a key missing in the mapping is
    a KeyError, an exception object among the values is raised for its key, and an exception raised by the
    function goes to all, to each one a copy of his own.

    A caller who is cancelled harms nobody; when all are, the batch is cancelled. Loops have batches of their
    own, and so have the objects of a class. In plain functions the thread that came first waits and calls.
    More than ``max_pending`` waiting callers (of one loop) are refused with CallRejected. Raises ConfigError
    when the module is imported.
    """
    for name, size in (("max_batch", max_batch), ("max_pending", max_pending)):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ConfigError(f"{name} must be a whole number above 0, got {size!r}")
    if not isinstance(wait, int | float) or isinstance(wait, bool) or not 0 <= wait < math.inf:
        raise ConfigError(f"wait must be seconds, 0 or more, got {wait!r}")

    def collapse(many: Any) -> Any:
        method = _is_method(many)
        name = getattr(many, "__qualname__", repr(many))
        on = os.environ.get("RESILIENT_ENABLED", "1").strip().lower() not in ("0", "false", "no", "off")
        rules = Rules(
            many,
            name,
            max_batch=max_batch if on else 1,
            wait=wait,
            max_pending=max_pending,
            guard=getattr(many, "guard", None) if on else None,
        )
        batches: Loops | Threads
        one: Any
        if inspect.iscoroutinefunction(many):
            loops = batches = Loops(rules)

            if method:

                async def one(self: Any, key: Any, /) -> Any:
                    return await loops.call((self,), key)

            else:

                async def one(key: Any, /) -> Any:
                    return await loops.call((), key)

        else:
            threads = batches = Threads(rules)

            if method:

                def one(self: Any, key: Any, /) -> Any:
                    return threads.call((self,), key)

            else:

                def one(key: Any, /) -> Any:
                    return threads.call((), key)

        signature = inspect.signature(one)
        functools.update_wrapper(one, many, updated=())
        one.__signature__ = signature
        one.__annotations__ = {}
        one.flush = batches.flush
        one.snapshot = lambda: rules.snapshot(batches.pending)
        one.stands_above_circuit = "@collapsed"
        if hasattr(many, "guard"):
            one.guard = many.guard
        return one

    return collapse if many is None else collapse(many)


def _is_method(many: Any) -> bool:
    name = getattr(many, "__qualname__", repr(many))
    if isinstance(many, staticmethod | classmethod):
        raise ConfigError(f"{name}: put @{type(many).__name__} above @collapsed, not below it")
    if not callable(many) or inspect.isclass(many):
        raise ConfigError(f"{name}: @collapsed goes on a function that takes a list of keys")
    if inspect.isasyncgenfunction(many) or inspect.isgeneratorfunction(many):
        raise ConfigError(f"{name}: a batch function returns a list or a mapping; a generator is neither")
    names = list(inspect.signature(many).parameters)
    method = names[:1] in (["self"], ["cls"])
    if len(names) != 1 + method:
        raise ConfigError(f"{name}: a batch function takes one list of keys and nothing else, not {names}")
    return method
