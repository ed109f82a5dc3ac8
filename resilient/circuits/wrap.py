"""What kind of function it is, and which of the wrappers it needs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ConfigError
from . import calls, streams, threads
from .rescue import NOTHING, Rescue


def is_async(function: Any) -> bool:
    """Whether calling it makes a coroutine; objects whose ``__call__`` is async count too."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - what it is matters, not whether
    )


def _manager_body(function: Any) -> Any:
    """The generator function behind a function made by ``contextlib``'s decorators, else ``None``."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename != contextlib.contextmanager.__code__.co_filename:
        return None
    body = getattr(function, "__wrapped__", None)
    return body if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body) else None


def rescue_for(function: Any, default: Any, fallback: Any, name: str) -> Rescue | None:
    """What answers instead, if anything does. Raises ConfigError for what could not."""
    if default is NOTHING and fallback is None:
        return None
    plain = not is_async(function) and not inspect.isasyncgenfunction(_manager_body(function) or function)
    streams_items = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if streams_items and default is not NOTHING and not isinstance(default, Iterable):
        raise ConfigError(
            f"{name} yields items, so its default must be something to iterate over, got {default!r}"
        )
    return Rescue(default, fallback, sync=plain, name=name)


def wrap(guard: Any, function: Callable[..., Any], rescue: Rescue | None, *, timed: bool, where: str) -> Any:
    """``function`` behind the circuit of ``guard``, as the kind of function it is."""
    body = _manager_body(function)
    if where == "thread" and (
        body is not None
        or is_async(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise ConfigError(f"{guard.name}: isolation='thread' is for plain functions, not for {function!r}")
    if body is not None:
        if inspect.isasyncgenfunction(body):
            return contextlib.asynccontextmanager(streams.async_stream(guard, body, rescue, single=True))
        return contextlib.contextmanager(streams.stream(guard, body, rescue, single=True))
    if inspect.isasyncgenfunction(function):
        return streams.async_stream(guard, function, rescue)
    if inspect.isgeneratorfunction(function):
        return streams.stream(guard, function, rescue)
    if is_async(function):
        return (calls.timed if timed else calls.untimed)(guard, function, rescue)
    return (threads.threaded if where == "thread" else calls.sync)(guard, function, rescue)


def derived_name(function: Callable[..., Any]) -> str:
    """``module.qualname`` of a function, without ``<locals>``; a script goes by its file's name."""
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    qualname = getattr(target, "__qualname__", type(target).__qualname__).replace("<locals>.", "")
    module = getattr(target, "__module__", None) or "unknown"
    if module == "__main__":
        path = getattr(sys.modules.get("__main__"), "__file__", None)
        module = os.path.splitext(os.path.basename(path))[0] if path else module
    return f"{module}.{qualname}"
