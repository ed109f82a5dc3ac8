"""``@cached_per_request``: whatever one inbound request asks twice is asked once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import os
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from .circuits.circuit import Circuit
from .circuits.guard import Guard
from .circuits.rescue import NOTHING, Rescue
from .decorators import CircuitHandle, Protected
from .errors import ConfigError, ResilientError
from .flights import Landing, Shared
from .request import PRESENT, Owner, request

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("resilient.request")
_NOBODY = Owner(None)

#: The keys of the calls that this code is part of: waiting for one of them would be waiting for oneself.
_INSIDE: ContextVar[tuple[Any, ...]] = ContextVar("resilient_inside", default=())


class _Cache(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def cached_per_request(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def cached_per_request(*, key: Callable[..., Hashable | None] | None = None) -> _Cache: ...
def cached_per_request(function: Any = None, /, *, key: Any = None) -> Any:
    """Remember answers for as long as one inbound request is served, see :class:`~resilient.request`::

        @cached_per_request
        @circuit(default=None)
        async def customer(id: int) -> dict | None: ...

    Within one request, calls with equal arguments share one execution, also while it is under way; an error
    goes to all who wait for it, to each one a copy of his own, and is not kept. A default or fallback of the
    circuit below is each caller's own and never kept, nor is a result that the circuit judges a failure.
    A caller who is cancelled harms nobody; when all are, the execution is cancelled. It runs in the context
    of the caller who came first. Outside any request each call is made.

    Arguments (but for ``self``, which counts by identity) must be hashable; a call whose arguments are not
    is made each time, which is logged once. ``key`` is a function of the arguments instead, ``self``
    included; if it answers ``None``, that call is made and not remembered. All callers get the same object:
    what one of them changes in it, the others see.

    Raises ConfigError when the module is imported.
    """
    if function is None:
        return functools.partial(_cached, key=key)
    return _cached(function, key)


def _cached(function: Any, key: Callable[..., Hashable | None] | None) -> Any:
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise ConfigError(f"{name}: put @{kind} above @cached_per_request, not below it")
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"@cached_per_request goes on a function, not on {function!r}")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigError(f"{name}: what a generator yields can only be taken once, not remembered")
    if key is not None and not callable(key):
        raise ConfigError(f"{name}: key= must be a function of the arguments, got {key!r}")
    cache = _PerRequest(function, name, key)
    shell = cache.coroutine() if inspect.iscoroutinefunction(function) else cache.plain()
    functools.update_wrapper(shell, function, updated=())
    shell.cache_key = cache.key_of
    shell.stands_above_circuit = "@cached_per_request"
    if cache.guard is not None:
        shell.guard = cache.guard
    return shell


class _PerRequest:
    """One function, and the circuit below it without its fallback: that one stands above the cache."""

    def __init__(self, function: Any, name: str, key: Callable[..., Hashable | None] | None) -> None:
        self.function = function
        self.name = name
        self.guard: Guard | None = getattr(function, "guard", None)
        self.rescue: Rescue | None = None
        self.bare = function
        if isinstance(function, Protected) and function._rescue is not None:
            self.rescue = function._rescue
            self.bare = CircuitHandle(function.guard, NOTHING, None)(function._function)
        self.told = False
        self.on = os.environ.get("RESILIENT_ENABLED", "1").strip().lower() not in ("0", "false", "no", "off")
        self.key_of = self._key_of(key, _is_method(function))

    def _key_of(
        self, own: Callable[..., Hashable | None] | None, method: bool
    ) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
        def key_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            owner = _NOBODY
            if not self.on:
                return None
            if own is not None:
                parts: Any = own(*args, **kwargs)
                if parts is None:
                    return None
            else:
                if method and args:
                    owner, args = Owner(args[0]), args[1:]
                # 1, 1.0 and True are equal, but the same question they are not.
                parts = (args, *map(type, args))
                if kwargs:
                    parts += tuple((name, kwargs[name], type(kwargs[name])) for name in sorted(kwargs))
            try:
                hash(parts)
            except TypeError as error:
                self._unhashable(error)
                return None
            return key_of, owner, parts

        return key_of

    def _unhashable(self, error: TypeError) -> None:
        if not self.told:
            self.told = True
            _log.warning("%s is not cached: %s; give @cached_per_request a key=", self.name, error)

    @property
    def circuit(self) -> Circuit | None:
        """The circuit below, if there is one."""
        guard = self.guard
        return None if guard is None else guard.circuit or guard.find()

    def hit(self) -> None:
        """A call need not be made: its answer is there, or on its way."""
        circuit = self.circuit
        if circuit is not None:
            circuit.count_cached()

    def kept(self, value: Any, error: BaseException | None) -> tuple[Any] | None:
        """What is remembered of a call that has ended: its value, or nothing."""
        if error is not None:
            return None
        circuit = self.circuit
        with contextlib.suppress(Exception):  # a failed= that fails itself has said so to the caller
            if circuit is None or not circuit.spoke_against(value):
                return (value,)
        return None

    def coroutine(self) -> Any:
        """The way for coroutine functions."""
        function, key_of = self.function, self.key_of

        async def call(*args: Any, **kwargs: Any) -> Any:
            here = PRESENT.get()
            if here is None or here.entries is None or (key := key_of(args, kwargs)) is None:
                return await function(*args, **kwargs)
            found = here.find(key, lambda: _Flight(self, here, key))
            if found is None:
                return await function(*args, **kwargs)
            flight, mine = found
            if type(flight) is tuple:
                self.hit()
                return flight[0]
            if mine:
                flight.depart(args, kwargs)
            elif flight.loop is not asyncio.get_running_loop() or key in _INSIDE.get():
                return await function(*args, **kwargs)
            else:
                self.hit()
            rescue = self.rescue
            if rescue is None:
                return await flight.wait(flight.joining())
            circuit = self.circuit
            assert circuit is not None
            try:
                answer = await flight.wait(flight.joining())
            except Exception as error:
                if not rescue.helps(circuit, error):
                    raise
                return await rescue.instead(circuit, error, args, kwargs)
            if words := circuit.spoke_against(answer):
                return await rescue.instead(circuit, ResilientError(words), args, kwargs)
            return answer

        return call

    def plain(self) -> Any:
        """The way for plain functions, exact under threads."""
        function, key_of = self.function, self.key_of

        def call(*args: Any, **kwargs: Any) -> Any:
            here = PRESENT.get()
            if here is None or here.entries is None or (key := key_of(args, kwargs)) is None:
                return function(*args, **kwargs)
            rescue = self.rescue
            if rescue is None:
                return self._shared(here, key, args, kwargs)
            circuit = self.circuit
            assert circuit is not None
            try:
                answer = self._shared(here, key, args, kwargs)
            except Exception as error:
                if not rescue.helps(circuit, error):
                    raise
                return rescue.instead_now(circuit, error, args, kwargs)
            if words := circuit.spoke_against(answer):
                return rescue.instead_now(circuit, ResilientError(words), args, kwargs)
            return answer

        return call

    def _shared(self, here: request, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        while True:
            found = here.find(key, Landing[Any])
            if found is None:
                return self.bare(*args, **kwargs)
            landing, mine = found
            if type(landing) is tuple:
                self.hit()
                return landing[0]
            if mine:
                break
            if key in _INSIDE.get():
                return self.bare(*args, **kwargs)
            answer = landing.wait()
            if answer is not None:
                self.hit()
                return answer[0]

        def over(value: Any, error: BaseException | None) -> None:
            here.settle(key, landing, self.kept(value, error))

        token = _INSIDE.set((*_INSIDE.get(), key))
        try:
            return landing.run(lambda: self.bare(*args, **kwargs), over)
        finally:
            _INSIDE.reset(token)


class _Flight(Shared):
    """One execution of a coroutine function, for all who ask the same within one request."""

    def __init__(self, cache: _PerRequest, here: request, key: Any) -> None:
        super().__init__()
        self._cache = cache
        self._here = here
        self._key = key

    def depart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin, in the context of the caller who came first."""

        async def run() -> Any:
            _INSIDE.set((*_INSIDE.get(), self._key))
            return await self._cache.bare(*args, **kwargs)

        self.begin(run())

    def ended(self, value: Any, error: BaseException | None) -> None:
        """Keep the value, or nothing."""
        self._here.settle(self._key, self, self._cache.kept(value, error))
        super().ended(value, error)

    def deserted(self) -> None:
        """Whoever asks from now on asks anew."""
        self._here.settle(self._key, self, None)


def _is_method(function: Any) -> bool:
    try:
        return list(inspect.signature(function).parameters)[:1] in (["self"], ["cls"])
    except (TypeError, ValueError):
        return False
