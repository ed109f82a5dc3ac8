"""The short way: what a call through a closed circuit executes, three times over.

These closures are the hot path. Each is the same story in the same order: is it ordinary (``take``), take a
permit, run, count, give the permit back. What is not ordinary goes through methods of the circuit. The text
is repeated because a shared helper would cost a call; see docs/benchmarks.md before changing a line.
"""

from __future__ import annotations

from asyncio import current_task
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import Any, TypeVar

from ..errors import CallRejected, CallTimeout
from . import attempt as present
from .allowance import shortened
from .attempt import CURRENT
from .guard import Guard
from .rescue import Rescue

_enter, _leave, _now_in = CURRENT.set, CURRENT.reset, CURRENT.get
F = TypeVar("F", bound=Callable[..., Any])
AsyncFunction = Callable[..., Coroutine[Any, Any, Any]]


def named(call: F, f: Any) -> F:
    """Tasks and coroutines show the function's name. Not ``wraps``: the decorator does that, once."""
    call.__name__ = getattr(f, "__name__", "call")
    call.__qualname__ = getattr(f, "__qualname__", "call")
    return call


def _constant(rescue: Rescue | None) -> tuple[bool, Any]:
    """Whether a refused call is answered at once, and with what: asked once, not in each call."""
    return (True, rescue.value) if rescue is not None and rescue.constant else (False, None)


def timed(guard: Guard, f: AsyncFunction, rescue: Rescue | None = None) -> AsyncFunction:
    """``f`` behind the circuit that ``guard`` finds, with the circuit's deadline."""

    constant, value = _constant(rescue)

    async def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit or guard.find()
        take = c.take
        if take is None and (t := c.now()) < c.open_until:
            window = c.window
            if t >= window.end:
                c.look()
            if constant:
                next(window.answered)
                return value
            next(window.shut)
            if rescue is None:
                raise c.refusal()
            return await rescue.refused(c, args, kwargs)
        queue = c.queue
        try:
            if (
                take is None
                or get_ident() != queue.thread
                or (task := current_task(queue.loop)) is None
                or task.cancelling()
            ):
                a = c.admit(f, args, kwargs, True)
                queue = a.queue
            else:
                try:
                    a = take()
                except IndexError:
                    a = c.admit(f, args, kwargs)
                a.task = task
        except CallRejected as error:
            if rescue is None:
                raise
            return await rescue.instead(c, error, args, kwargs)
        now = c.now
        live = queue.live
        began = a.began = now()
        live[a] = None
        if not queue.armed:
            queue.arm()
        token = None
        if present.watched:
            outer = _now_in()
            token = _enter((a, began, outer))
            if outer is not None:
                live = shortened(a, live, outer)
        try:
            result = await (f(*args, **kwargs) if kwargs else f(*args))
        except BaseException as error:
            live.pop(a, None)
            task = None  # it will hold this error, whose traceback holds this frame
            limit = a.deadline
            if c.failed(a, error):
                if rescue is None:
                    raise CallTimeout(c.name, limit or 0.0) from error
                return await rescue.instead(c, CallTimeout(c.name, limit or 0.0), args, kwargs)
            if rescue is None or not rescue.helps(c, error):
                raise
            return await rescue.instead(c, error, args, kwargs)
        finally:
            if token is not None:
                try:
                    _leave(token)
                except ValueError:
                    pass  # an abandoned coroutine is closed in another context
        if a.odd or type(result) not in c.plain:
            live.pop(a, None)
            if rescue is None:
                return c.ended(a, result)
            return await rescue.after(c, a, result, args, kwargs)
        del live[a]
        a.began = a.task = None
        a.give(a)
        t = now()
        window = c.window
        if t >= window.end:
            c.rolled(t)
        fresh = window.fresh
        fresh.append(t - began)
        if len(fresh) >= window.due:
            c.look()
        return result

    return named(call, f)


def untimed(guard: Guard, f: AsyncFunction, rescue: Rescue | None = None) -> AsyncFunction:
    """``f`` behind the circuit that ``guard`` finds, without a deadline unless the environment gives one."""
    with_deadline = timed(guard, f, rescue)

    constant, value = _constant(rescue)

    async def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit or guard.find()
        if c.limit is not None or (present.watched and _now_in() is not None):
            return await with_deadline(*args, **kwargs)  # what it stands in may have one
        take = c.take
        if take is None and (t := c.now()) < c.open_until:
            window = c.window
            if t >= window.end:
                c.look()
            if constant:
                next(window.answered)
                return value
            next(window.shut)
            if rescue is None:
                raise c.refusal()
            return await rescue.refused(c, args, kwargs)
        try:
            if take is None:
                a = c.admit(f, args, kwargs)
            else:
                try:
                    a = take()
                except IndexError:
                    a = c.admit(f, args, kwargs)
        except CallRejected as error:
            if rescue is None:
                raise
            return await rescue.instead(c, error, args, kwargs)
        now = c.now
        began = a.began = now()
        token = _enter((a, began, _now_in())) if present.watched else None
        try:
            result = await (f(*args, **kwargs) if kwargs else f(*args))
        except BaseException as error:
            c.failed(a, error)
            if rescue is None or not rescue.helps(c, error):
                raise
            return await rescue.instead(c, error, args, kwargs)
        finally:
            if token is not None:
                try:
                    _leave(token)
                except ValueError:
                    pass  # an abandoned coroutine is closed in another context
        if a.odd or type(result) not in c.plain:
            if rescue is None:
                return c.ended(a, result)
            return await rescue.after(c, a, result, args, kwargs)
        a.began = None
        a.give(a)
        t = now()
        window = c.window
        if t >= window.end:
            c.rolled(t)
        fresh = window.fresh
        fresh.append(t - began)
        if len(fresh) >= window.due:
            c.look()
        return result

    return named(call, f)


def sync(guard: Guard, f: Callable[..., Any], rescue: Rescue | None = None) -> Callable[..., Any]:
    """``f`` behind the circuit that ``guard`` finds; exact under threads, and nothing is held meanwhile."""

    constant, value = _constant(rescue)

    def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit or guard.find()
        take = c.take
        if take is None and (t := c.now()) < c.open_until:
            window = c.window
            if t >= window.end:
                c.look()
            if constant:
                next(window.answered)
                return value
            next(window.shut)
            if rescue is None:
                raise c.refusal()
            return rescue.refused_now(c, args, kwargs)
        try:
            if take is None:
                a = c.admit(f, args, kwargs)
            else:
                try:
                    a = take()
                except IndexError:
                    a = c.admit(f, args, kwargs)
        except CallRejected as error:
            if rescue is None:
                raise
            return rescue.instead_now(c, error, args, kwargs)
        now = c.now
        began = a.began = now()
        token = _enter((a, began, _now_in())) if present.watched else None
        try:
            result = f(*args, **kwargs) if kwargs else f(*args)
        except BaseException as error:
            c.failed(a, error)
            if rescue is None or not rescue.helps(c, error):
                raise
            return rescue.instead_now(c, error, args, kwargs)
        finally:
            if token is not None:
                _leave(token)
        if a.odd or type(result) not in c.plain:
            if rescue is None:
                return c.ended(a, result)
            return rescue.after_now(c, a, result, args, kwargs)
        a.began = None
        a.give(a)
        t = now()
        window = c.window
        if t >= window.end:
            c.rolled(t)
        fresh = window.fresh
        fresh.append(t - began)
        if len(fresh) >= window.due:
            c.look()
        return result

    return named(call, f)
