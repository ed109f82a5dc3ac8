"""Generators behind a circuit: judged by their first item, holding their permit until they are closed.

A call that yields ends long after the service has answered. Its verdict is taken at the first item; an error
before it is an ordinary failure, for which a fallback may answer; one after it is counted, but nothing is
tried again, for the caller has seen a part already.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator
from typing import Any

from ..errors import CallTimeout
from . import attempt as present
from .allowance import shortened
from .attempt import CURRENT, Attempt
from .calls import named
from .circuit import Circuit
from .deadlines import WaitedTooLong, within
from .guard import Guard
from .ledger import NO_RESULT
from .rescue import Rescue

_ENDED: Any = object()


def _enter(a: Attempt, c: Circuit) -> Any:
    a.odd = True
    began = a.began = c.now()
    return CURRENT.set((a, began, CURRENT.get())) if present.watched else None


def _leave(token: Any) -> None:
    if token is not None:
        with contextlib.suppress(ValueError):  # closed in another context
            CURRENT.reset(token)


def async_stream(
    guard: Guard, f: Callable[..., Any], rescue: Rescue | None = None, *, single: bool = False
) -> Callable[..., Any]:
    """An async generator function behind the circuit of ``guard``. The deadline is for the first item.

    ``single``: it is the body of a context manager, so a fallback's answer is *the* item.
    """

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        c = guard.circuit or guard.find()
        source: Any = None
        item: Any = None
        answer: Any = _ENDED
        a: Attempt | None = None
        try:
            a = c.admit(f, args, kwargs, True)
            source, item = await _first(c, a, f, args, kwargs)
        except BaseException as error:
            # Not admitted, or settled already: in either case there is nothing to give back.
            if rescue is None or not rescue.helps(c, error):
                raise
            answer = await rescue.instead(c, error, args, kwargs)
        if answer is not _ENDED:
            if single:
                yield answer
            elif isinstance(answer, AsyncIterable):
                async for one in answer:
                    yield one
            else:
                for one in answer:
                    yield one
            return
        assert a is not None
        try:
            while item is not _ENDED:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    item = await source.athrow(thrown)
                else:
                    idle = None if single else c.policy.idle_timeout
                    item = await (source.asend(sent) if idle is None else _soon(c, idle, source.asend(sent)))
        except StopAsyncIteration:
            return
        except BaseException as error:
            c.broke(a, error)
            raise
        finally:
            try:
                await source.aclose()
            finally:
                c.let_go(a)

    return named(call, f)


async def _soon(c: Circuit, idle: float, item: Awaitable[Any]) -> Any:
    """The next item, or CallTimeout: a stream that has fallen silent is as good as broken."""
    try:
        return await within(idle, c.now, item)
    except WaitedTooLong as error:
        raise CallTimeout(c.name, idle) from error


async def _first(c: Circuit, a: Attempt, f: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The generator and its first item, in time, its verdict taken; ``_ENDED`` if there is none."""
    outer = CURRENT.get()
    token = _enter(a, c)
    live = a.queue.live
    live[a] = None
    if not a.queue.armed:
        a.queue.arm()
    if outer is not None:
        live = shortened(a, live, outer)
    try:
        try:
            source = f(*args, **kwargs)
            item = await anext(source, _ENDED)
        except BaseException as error:
            live.pop(a, None)
            limit = a.deadline
            if c.failed(a, error):
                raise CallTimeout(c.name, limit or 0.0) from error
            raise
        live.pop(a, None)
    finally:
        _leave(token)
    try:
        c.conclude(a, NO_RESULT, keep=True)
    except CallTimeout:
        c.let_go(a)
        await source.aclose()
        raise
    return source, item


def stream(
    guard: Guard, f: Callable[..., Any], rescue: Rescue | None = None, *, single: bool = False
) -> Callable[..., Any]:
    """As :func:`async_stream`, for plain generator functions. Doors take what is left of the time."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        c = guard.circuit or guard.find()
        source: Any = None
        item: Any = None
        answer: Any = _ENDED
        a: Attempt | None = None
        try:
            a = c.admit(f, args, kwargs)
            source, item = _first_now(c, a, f, args, kwargs)
        except BaseException as error:
            if rescue is None or not rescue.helps(c, error):
                raise
            answer = rescue.instead_now(c, error, args, kwargs)
        if answer is not _ENDED:
            if single:
                yield answer
            else:
                yield from answer
            return None
        assert a is not None
        try:
            while item is not _ENDED:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    item = source.throw(thrown)
                else:
                    item = source.send(sent)
        except StopIteration as end:
            return end.value
        except BaseException as error:
            c.broke(a, error)
            raise
        finally:
            try:
                source.close()
            finally:
                c.let_go(a)
        return None

    return named(call, f)


def _first_now(c: Circuit, a: Attempt, f: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    token = _enter(a, c)
    try:
        source = f(*args, **kwargs)
        item = next(source, _ENDED)
    except BaseException as error:
        c.failed(a, error)
        raise
    finally:
        _leave(token)
    c.conclude(a, NO_RESULT, keep=True)
    return source, item
