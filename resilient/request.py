"""One inbound request: what is asked twice while it is served needs to be answered only once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

#: Answers kept for one request at most; what comes after that is asked for each time.
MOST = 1000


class request:
    """``with request():`` or ``async with request():`` while one inbound request is served.

    Inside, functions under ``@cached_per_request`` remember their answers; child tasks and
    ``asyncio.to_thread`` are inside too. Leaving forgets everything. One within another starts empty.
    ``hits`` and ``misses`` count for people. Each object serves for one entry.
    """

    __slots__ = ("_lock", "_token", "entries", "hits", "misses")

    def __init__(self) -> None:
        #: What is known: calls under way and ``(value,)``; ``None`` outside of the block.
        self.entries: dict[Any, Any] | None = None
        self.hits = 0
        self.misses = 0
        self._lock = threading.RLock()  # keys are the caller's objects: comparing them runs their code
        self._token: Token[request | None] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("a request() is for one 'with' block only: make another one")
        self.entries = {}
        self._token = PRESENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        # Tasks that outlive the request still see it; to them it is as if there were none.
        self.entries = None
        assert self._token is not None
        with contextlib.suppress(ValueError):  # an abandoned generator is closed in another context
            PRESENT.reset(self._token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)

    def find(self, key: Any, make: Callable[[], Any]) -> tuple[Any, bool] | None:
        """What is known under ``key``, or what ``make`` makes and whether it did; ``None``: not kept here."""
        with self._lock:  # threads may work for one request side by side
            entries = self.entries
            if entries is None:
                return None
            found = entries.get(key)
            if found is not None:
                self.hits += 1
                if type(found) is not tuple:
                    found.wanted = True
                return found, False
            if len(entries) >= MOST:
                return None
            self.misses += 1
            made = entries[key] = make()
            return made, True

    def settle(self, key: Any, flight: Any, kept: tuple[Any] | None) -> None:
        """A call has ended: keep its value, or nothing. What was forgotten meanwhile stays forgotten."""
        with self._lock:
            entries = self.entries
            if entries is not None and entries.get(key) is flight:
                if kept is None:
                    del entries[key]
                else:
                    entries[key] = kept

    @staticmethod
    def forget(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Forget one answer in the present request, for instance after a write: ``request.forget(order, 7)``.

        Without arguments: all answers of this function (of this object's, for a method). Outside any
        request it does nothing. Raises TypeError for a function that is not under ``@cached_per_request``.
        """
        owner = getattr(function, "__self__", None)
        key_of = getattr(function, "cache_key", None)
        if key_of is None:
            raise TypeError(f"{function!r} is not under @cached_per_request")
        here = PRESENT.get()
        if here is None:
            return
        if args or kwargs:
            here._drop([key_of(args if owner is None else (owner, *args), kwargs)])
        else:
            with here._lock:
                here._drop([key for key in here.entries or () if key[0] is key_of and key[1].fits(owner)])

    def _drop(self, keys: list[Any]) -> None:
        with self._lock:
            if self.entries is not None:
                for key in keys:
                    self.entries.pop(key, None)


class Owner:
    """Whose method it is. Compared by identity: two clients that are equal still ask for themselves."""

    __slots__ = ("_owner",)

    def __init__(self, owner: object) -> None:
        self._owner = owner

    def fits(self, owner: object) -> bool:
        """Whether it is this object; nobody in particular fits all."""
        return owner is None or self._owner is None or self._owner is owner

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Owner) and self._owner is other._owner

    def __hash__(self) -> int:
        return id(self._owner)


#: The request that is being served here.
PRESENT: ContextVar[request | None] = ContextVar("resilient_request", default=None)


_Message = MutableMapping[str, Any]
_App = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]
]


class RequestScope:
    """ASGI middleware: each HTTP request is served inside ``request()``.

    ``app.add_middleware(RequestScope)``
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":  # a websocket lives for hours: nothing may be remembered for so long
            await self._app(scope, receive, send)
            return
        with request():
            await self._app(scope, receive, send)
