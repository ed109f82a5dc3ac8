"""The short way: what a call through a closed circuit executes, three times over.

These closures are the hot path. Each is the same story in the same order: is it ordinary (``take``), take a
permit, run, count, give the permit back. What is not ordinary goes through methods of the circuit. The text
is repeated because a shared helper would cost a call; see docs/benchmarks.md before changing a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from threading import get_ident
from types import CellType, FunctionType
from typing import Any, TypeVar, cast

from ..errors import CallRejected, CallTimeout
from . import attempt as present
from .allowance import shortened
from .attempt import CURRENT
from .guard import Guard
from .rescue import Rescue

try:  # what asyncio.current_task looks into; asking the dict itself takes a third of the time
    from _asyncio import _current_tasks  # type: ignore[attr-defined]

    running: Callable[[Any], asyncio.Task[Any] | None] = _current_tasks.get
except ImportError:  # Python 3.14 keeps it elsewhere
    running = asyncio.current_task

_enter, _leave, _now_in = CURRENT.set, CURRENT.reset, CURRENT.get
F = TypeVar("F", bound=Callable[..., Any])
_NONE = CellType(None)
AsyncFunction = Callable[..., Coroutine[Any, Any, Any]]


def named(call: F, f: Any) -> F:
    """Tasks and coroutines show the function's name. Not ``wraps``: the decorator does that, once.

    Closure cells that hold ``None`` become one cell for all: each cell is a line of the processor's cache,
    and where many circuits are called in turn, each line is waited for.
    """
    cells = call.__closure__ or ()
    if any(cell.cell_contents is None for cell in cells):
        shared = tuple(_NONE if cell.cell_contents is None else cell for cell in cells)
        call = cast(F, FunctionType(call.__code__, call.__globals__, call.__name__, None, shared))
    call.__name__ = getattr(f, "__name__", "call")
    call.__qualname__ = getattr(f, "__qualname__", "call")
    return call


def _constant(rescue: Rescue | None) -> tuple[Any] | None:
    """What answers a refused call at once, if anything does: asked here, not in each call."""
    return (rescue.value,) if rescue is not None and rescue.constant else None


def timed(guard: Guard, f: AsyncFunction, rescue: Rescue | None = None) -> AsyncFunction:
    """``f`` behind the circuit that ``guard`` finds, with the circuit's deadline."""
    constant = _constant(rescue)

    async def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit
        if c is None:
            c = guard.find()
        take = c.take
        if take is None and (c.now() < c.shut_until or (c.open_until and c.still_shut())):
            if constant is not None:
                for _ in c.window.answered:  # next(), without a call
                    return constant[0]
            next(c.window.shut)
            if rescue is None:
                raise c.refusal()
            return await rescue.refused(c, args, kwargs)
        queue = c.queue
        try:
            if (
                take is None
                or get_ident() != queue.thread
                or (task := running(queue.loop)) is None
                or task.cancelling()
            ):
                a = c.admit(f, args, kwargs, True)
                take = a.crew.idle
                queue = a.queue
            else:
                try:
                    a = take.pop()
                except IndexError:
                    a = c.admit(f, args, kwargs)
                    take = a.crew.idle
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
        take.append(a)
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
    constant = _constant(rescue)

    async def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit
        if c is None:
            c = guard.find()
        watched = present.watched
        if c.limit is not None or (watched and _now_in() is not None):
            return await with_deadline(*args, **kwargs)  # what it stands in may have one
        take = c.take
        if take is None and (c.now() < c.shut_until or (c.open_until and c.still_shut())):
            if constant is not None:
                for _ in c.window.answered:  # next(), without a call
                    return constant[0]
            next(c.window.shut)
            if rescue is None:
                raise c.refusal()
            return await rescue.refused(c, args, kwargs)
        try:
            if take is None:
                a = c.admit(f, args, kwargs)
                take = a.crew.idle
            else:
                try:
                    a = take.pop()
                except IndexError:
                    a = c.admit(f, args, kwargs)
                    take = a.crew.idle
        except CallRejected as error:
            if rescue is None:
                raise
            return await rescue.instead(c, error, args, kwargs)
        now = c.now
        began = a.began = now()
        token = _enter((a, began, None)) if watched else None
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
        take.append(a)
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
    constant = _constant(rescue)

    def call(*args: Any, **kwargs: Any) -> Any:
        c = guard.circuit
        if c is None:
            c = guard.find()
        take = c.take
        if take is None and (c.now() < c.shut_until or (c.open_until and c.still_shut())):
            if constant is not None:
                for _ in c.window.answered:  # next(), without a call
                    return constant[0]
            next(c.window.shut)
            if rescue is None:
                raise c.refusal()
            return rescue.refused_now(c, args, kwargs)
        try:
            if take is None:
                a = c.admit(f, args, kwargs)
                take = a.crew.idle
            else:
                try:
                    a = take.pop()
                except IndexError:
                    a = c.admit(f, args, kwargs)
                    take = a.crew.idle
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
        take.append(a)
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
