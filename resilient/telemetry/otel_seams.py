"""Where tracing takes hold of calls and tries. Without it nothing here costs a call anything.

Decorated functions are C callables around a shell; tracing puts another shell into them, and takes it out
again. So a call that nobody traces runs exactly what it ran before.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from ..balancing.picks import Pick, Tries
from ..circuits.block import Block

Shell = Callable[..., Any]
Headers = MutableMapping[str, Any]

#: Puts a shell around a call; ``None`` while nobody traces.
around: Callable[[Any, Shell], Shell] | None = None
#: Watches the tries of one request; ``None`` while nobody traces. Asked for each balanced request.
watch: Callable[[Tries, str, Headers], Tries] | None = None
#: Puts something around a block; ``None`` while nobody traces. Asked for each block.
hold: Callable[[Any, Any], Any] | None = None


class Cache(Protocol):
    """Something that keeps shells it can make again."""

    def forget(self) -> None: ...


_functions: weakref.WeakKeyDictionary[functools.partial[Any], Any] = weakref.WeakKeyDictionary()
_caches: weakref.WeakSet[Any] = weakref.WeakSet()


def dressed(guard: Any, shell: Shell) -> Shell:
    """The shell of a call as it is to be used now: with another around it while somebody traces."""
    return shell if around is None else around(guard, shell)


def keep(function: Any, guard: Any) -> None:
    """A decorated function: let its shell be changed when tracing begins or ends."""
    _functions[function] = guard
    if around is not None:
        _dress(function, guard)


def held(guard: Any, block: Block) -> Block:
    """A block as it is to be used now."""
    if hold is None:
        return block
    found: Block = hold(guard, block)
    return found


def keep_cache(cache: Cache) -> None:
    """Something that keeps shells: let it forget them when tracing begins or ends."""
    _caches.add(cache)


def watched(tries: Tries, method: str, headers: Headers) -> Tries:
    """The tries of a request, looked at if somebody traces."""
    return tries if watch is None else watch(tries, method, headers)


def answered(pick: Pick, status: int) -> None:
    """A try got an answer; for doors that do not show every answer to the tries."""
    seen = getattr(pick, "seen", None)
    if seen is not None:
        seen(status)


def set_hooks(
    wrap: Callable[[Any, Shell], Shell] | None,
    look: Callable[[Tries, str, Headers], Tries] | None,
    enclose: Callable[[Any, Any], Any] | None,
) -> None:
    """Begin to trace, or end it: all shells are changed at once."""
    global around, watch, hold
    around, watch, hold = wrap, look, enclose
    for function, guard in list(_functions.items()):
        _dress(function, guard)
    for cache in list(_caches):
        cache.forget()


def _dress(function: functools.partial[Any], guard: Any) -> None:
    shell = getattr(function.func, "bare", function.func)
    if around is not None:
        shell = around(guard, shell)
    # The one way to give a partial another function; its attributes stay.
    function.__setstate__((shell, function.args, function.keywords, vars(function)))  # type: ignore[attr-defined]
