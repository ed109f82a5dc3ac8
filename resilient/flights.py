"""One execution that several callers wait for, on a loop or in threads, and an error that all of them get."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: What a caller is told: a value, or else an error.
Told = tuple[Any, BaseException | None]


def twin(error: BaseException) -> BaseException:
    """The same error once more: each caller raises its own, so nobody's traceback shows in another's.

    An exception that cannot be copied is answered as it is.
    """
    made = _copied(error)
    if made is None:
        return error
    made.__cause__ = error.__cause__
    made.__context__ = error.__context__
    made.__suppress_context__ = error.__suppress_context__
    notes = getattr(error, "__notes__", None)
    if notes is not None:
        made.__notes__ = list(notes)
    return made.with_traceback(error.__traceback__)


def _copied(error: BaseException) -> BaseException | None:
    for way in (copy.copy, _rebuilt):
        # The first way calls the constructor as pickle would; many are not made for that.
        with contextlib.suppress(Exception):
            made = way(error)
            if type(made) is type(error) and made is not error:
                made.args = error.args
                _fill(made, error)
                return made
    return None


def _rebuilt(error: BaseException) -> BaseException:
    kind = type(error)
    made = kind.__new__(kind, *error.args)
    made.__dict__.update(error.__dict__)
    return made


def _fill(made: BaseException, error: BaseException) -> None:
    """Copy what is kept outside of the ``__dict__``, where a constructor would have put it."""
    for kind in type(error).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, MemberDescriptorType | GetSetDescriptorType) and not name.startswith("__"):
                with contextlib.suppress(Exception):
                    value = slot.__get__(error)
                    if value is not getattr(
                        made, name, None
                    ):  # OSError tells what is None from what is not there
                        slot.__set__(made, value)


def plain(error: BaseException) -> BaseException:
    """What may be raised in a caller's face: a cancellation or Ctrl-C that was meant for somebody else is
    told as a RuntimeError."""
    if isinstance(error, Exception):
        return error
    told = RuntimeError(f"the shared call ended with {type(error).__name__}")
    told.__cause__ = error
    return told


class Shared:
    """One task on this loop that several callers wait for.

    A caller who is cancelled leaves the others alone. When the last one is, the task is cancelled and that
    caller waits for its end, as if it had made the call itself.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[Any] | None = None
        self.over = False
        self.wanted = False  # as for threads
        self._waiting: dict[asyncio.Future[Told], None] = {}

    def begin(self, work: Coroutine[Any, Any, Any], context: Context | None = None) -> None:
        """Start the execution."""
        self.task = self.loop.create_task(work, context=context)
        self.task.add_done_callback(self._done)

    def joining(self) -> asyncio.Future[Told]:
        """A place for one caller more; to be handed to :meth:`wait` at once."""
        future: asyncio.Future[Told] = self.loop.create_future()
        self._waiting[future] = None
        return future

    async def wait(self, future: asyncio.Future[Told]) -> Any:
        """Wait for what this caller is told."""
        error: BaseException | None
        try:
            value, error = await future
        except BaseException as gone:
            if self._waiting.pop(future, self) is None:
                self.left(future)
                task = self._desert()
                # A coroutine that is closed, not cancelled, may not wait any more.
                if task is not None and isinstance(gone, asyncio.CancelledError):
                    await asyncio.wait((task,))
            raise
        finally:
            del future
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # its traceback holds this frame

    def tell(self, futures: Iterable[asyncio.Future[Told]], value: Any, error: BaseException | None) -> None:
        """Tell some callers; the first gets the error itself, each of the others one of its own."""
        errors = None if error is None else _each(error)
        for future in futures:
            self._waiting.pop(future, None)
            if not future.done():
                future.set_result((value, next(errors) if errors is not None else None))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.task, self.over = None, True  # its error's traceback holds whoever holds this
        if task.cancelled():
            for future in list(self._waiting):
                self._waiting.pop(future, None)
                future.cancel()  # as it would be for somebody who awaits the task itself
            self.ended(None, asyncio.CancelledError())
            return
        error = task.exception()
        self.ended(None if error is not None else task.result(), error)

    def _desert(self) -> asyncio.Task[Any] | None:
        task = self.task
        if self._waiting or self.over or (task is not None and task.done()):
            return None
        self.deserted()
        if task is None or self.loop.is_closed():
            return None
        task.cancel()
        return task

    # For those who know what is shared.

    def ended(self, value: Any, error: BaseException | None) -> None:
        """The execution has ended: tell the callers."""
        self.tell(list(self._waiting), value, error)

    def left(self, future: asyncio.Future[Told]) -> None:
        """A caller has gone."""

    def deserted(self) -> None:
        """All callers have gone."""


def _each(error: BaseException) -> Any:
    # The copies are made of the error as it arrived, before anybody raises it again.
    first = twin(error)
    yield error
    while True:
        yield twin(first)


class Landing(Generic[T]):
    """One execution in the thread that came first; other threads wait for it."""

    def __init__(self) -> None:
        self.wanted = False  # by anybody else; nobody comes any more once ``over`` was called
        self._over = threading.Event()
        self._told: Told | None = None

    def run(self, work: Callable[[], T], over: Callable[[T | None, BaseException | None], None]) -> T:
        """Execute it here. ``over`` hears of the end before anybody else does."""
        try:
            try:
                value = work()
            except BaseException as error:
                over(None, error)
                if self.wanted and isinstance(error, Exception):
                    copied = twin(error)
                    if copied.__traceback__ is not None:  # without this frame, which holds us
                        copied.__traceback__ = copied.__traceback__.tb_next
                    self._told = (None, copied)
                    del copied
                raise
            over(value, None)
            self._told = (value, None)
            return value
        finally:
            self._over.set()  # whatever happened: the others must not wait for ever

    def wait(self) -> tuple[T] | None:
        """Wait for the other thread's value; ``None``: it was interrupted, so ask again. Raises its error."""
        self._over.wait()
        if self._told is None:
            return None
        value, error = self._told
        if error is not None:
            try:
                raise twin(error)
            finally:
                del error
        return (value,)
