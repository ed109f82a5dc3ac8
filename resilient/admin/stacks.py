"""Where threads and tasks are at this moment: code positions only, never the values of variables."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

#: Frames of one stack that are shown.
DEEPEST = 100
#: Different stacks that a profile keeps.
MOST_STACKS = 2000
#: Functions in which a thread waits for work.
_WAITING = frozenset(
    {"wait", "select", "poll", "accept", "_worker", "_recv", "get", "wait_for", "_wait_for_tstate_lock"}
)

Row = dict[str, Any]


def place(code: CodeType, line: int | None) -> str:
    """A position in words: ``file:line in function``."""
    return f"{_short(code.co_filename)}:{line or 0} in {code.co_qualname}"


def _short(path: str) -> str:
    """A file's name with the two folders above it: enough to find it, and nothing about whose home it is."""
    return "/".join(path.replace("\\", "/").split("/")[-3:])


def _stack(frame: FrameType | None) -> list[str]:
    """Outermost first."""
    found: list[str] = []
    while frame is not None and len(found) < DEEPEST:
        found.append(place(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return found[::-1]


def threads() -> list[Row]:
    """All threads with their stacks, outermost frame first; those that work before those that wait."""
    names = {one.ident: one for one in threading.enumerate()}
    rows: list[Row] = []
    for ident, frame in sys._current_frames().items():
        known = names.get(ident)
        rows.append(
            {
                "name": known.name if known is not None else "?",
                "id": ident,
                "daemon": known.daemon if known is not None else None,
                "idle": frame.f_code.co_name in _WAITING,
                "stack": _stack(frame),
            }
        )
    return sorted(rows, key=lambda row: (row["idle"], row["name"]))


def tasks(loops: Iterable[tuple[str, asyncio.AbstractEventLoop]]) -> list[Row]:
    """All tasks of these loops, each with its chain of awaits, outermost first."""
    rows: list[Row] = []
    for name, loop in loops:
        try:
            listed = asyncio.all_tasks(loop)
        except RuntimeError:  # it changes faster than it can be read
            continue
        rows += [_task(name, task) for task in listed]
    return sorted(rows, key=lambda row: (row["loop"], row["name"]))


def _task(loop: str, task: asyncio.Task[Any]) -> Row:
    chain, circuits = _chain(task.get_coro())
    return {
        "name": task.get_name(),
        "loop": loop,
        "state": "done" if task.done() else "waiting" if _waits(task) else "ready",
        "circuits": circuits,
        "stack": chain,
    }


def _waits(task: asyncio.Task[Any]) -> bool:
    return getattr(task, "_fut_waiter", None) is not None


def _chain(coro: Any) -> tuple[list[str], list[str]]:
    """The chain of awaits, and the circuits it goes through."""
    chain: list[str] = []
    circuits: list[str] = []
    while coro is not None and len(chain) < DEEPEST:
        for kind in ("cr", "gi", "ag"):
            frame: FrameType | None = getattr(coro, f"{kind}_frame", None)
            if frame is not None:
                chain.append(place(frame.f_code, frame.f_lineno))
                if frame.f_code.co_filename.endswith(_CALLS):
                    circuits.append(_circuit(frame))
                coro = getattr(coro, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            if not hasattr(coro, "__await__") and not hasattr(coro, "send"):
                break
            chain.append(type(coro).__qualname__)
            break
    return chain, [name for name in circuits if name]


_CALLS = ("/circuits/calls.py", "\\circuits\\calls.py")


def _circuit(frame: FrameType) -> str:
    # The one variable that is looked at: our own, and only for the circuit's name.
    return str(getattr(frame.f_locals.get("c"), "name", ""))


class Busy(Exception):
    """A profile is being taken already."""


class Profiler:
    """Looks at all threads many times a second and counts what it sees; one at a time."""

    def __init__(self) -> None:
        self._taken = threading.Lock()

    @property
    def taken(self) -> bool:
        """Whether a profile is being taken."""
        return self._taken.locked()

    def take(
        self, seconds: float, hz: float, stopped: Callable[[float], object] = time.sleep
    ) -> dict[str, int]:
        """Folded stacks (``outer;inner``) with their counts. Blocks this thread. Raises Busy.

        ``stopped`` waits so many seconds, and answers with something true to end early.
        """
        if not self._taken.acquire(blocking=False):
            raise Busy
        try:
            seen: Counter[str] = Counter()
            me = threading.get_ident()
            now = time.monotonic
            begun = now()
            for number in range(1, max(1, round(seconds * hz)) + 1):
                names = {one.ident: one.name for one in threading.enumerate()}
                for ident, frame in sys._current_frames().items():
                    if ident == me:
                        continue
                    stack = _folded(names.get(ident, "?"), frame)
                    if stack in seen or len(seen) < MOST_STACKS:
                        seen[stack] += 1
                    else:
                        seen["other"] += 1
                left = begun + number / hz - now()
                if stopped(max(0.0, left)) or now() - begun > seconds:
                    break
            return dict(seen)
        finally:
            self._taken.release()


def _folded(thread: str, frame: FrameType | None) -> str:
    parts: list[str] = []
    while frame is not None and len(parts) < DEEPEST:
        code = frame.f_code
        parts.append(f"{_short(code.co_filename)}:{code.co_qualname}")
        frame = frame.f_back
    return ";".join(_word(part) for part in [thread, *parts[::-1]])


def _word(text: str) -> str:
    """A name as one word of a folded stack: these end at ``;`` and at blanks."""
    return "".join("_" if one in "; " or not one.isprintable() else one for one in text) or "?"


def folded(counts: dict[str, int]) -> str:
    """One line for each stack, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return "".join(f"{stack} {count}\n" for stack, count in ordered)
