"""What coroutines and threads have in common: sizes, numbers, and who gets which part of an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any

from ..circuits.attempt import CURRENT
from ..circuits.guard import Guard
from ..errors import CallRejected
from ..flights import Told, plain, twin
from ..request import PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseSnapshot:
    """What one process knows of one collapsed function.

    ``batches`` were called for ``items`` single calls with ``keys`` different keys in all. ``pending`` wait
    now; ``refused`` were turned away because too many did.
    """

    batches: int
    items: int
    keys: int
    largest: int
    refused: int
    pending: int

    @property
    def mean_size(self) -> float:
        """Keys in a batch, on average; 0 before the first one."""
        return self.keys / self.batches if self.batches else 0.0


class Rules:
    """One collapsed function: its batch function, its settings, its numbers."""

    def __init__(
        self,
        many: Callable[..., Any],
        name: str,
        *,
        max_batch: int,
        wait: float,
        max_pending: int,
        guard: Guard | None = None,
    ) -> None:
        self.many = many
        self.name = name
        self.max_batch = max_batch
        self.wait = wait
        self.max_pending = max_pending
        self.lock = threading.Lock()
        self._guard = guard
        self._batches = self._items = self._keys = self._largest = self._refused = 0

    def count(self, keys: int, items: int) -> None:
        """A batch is called."""
        with self.lock:
            self._batches += 1
            self._items += items
            self._keys += keys
            self._largest = max(self._largest, keys)
        if self._guard is not None:
            circuit = self._guard.circuit or self._guard.find()
            circuit.count_collapsed(items, keys)

    def refusal(self) -> CallRejected:
        """Too many wait already."""
        with self.lock:
            self._refused += 1
        return CallRejected(f"{self.name}: max_pending={self.max_pending} callers wait for an answer already")

    def snapshot(self, pending: int) -> CollapseSnapshot:
        """The numbers at this moment."""
        with self.lock:
            return CollapseSnapshot(
                batches=self._batches,
                items=self._items,
                keys=self._keys,
                largest=self._largest,
                refused=self._refused,
                pending=pending,
            )

    def parts(self, keys: Sequence[Any], answer: Any) -> list[Told]:
        """What each key gets. Raises TypeError for an answer that cannot be taken apart."""
        seen: set[int] = set()
        if isinstance(answer, Mapping):
            return [_part(answer[key], seen) if key in answer else (None, self._missing(key)) for key in keys]
        if not isinstance(answer, Sequence) or isinstance(answer, str | bytes | bytearray):
            raise TypeError(
                f"{self.name} must return a list or a mapping, got {type(answer).__name__}; a default= for "
                "its circuit must be one too, such as {}"
            )
        if len(answer) != len(keys):
            raise TypeError(
                f"{self.name} was asked for {len(keys)} keys and returned {len(answer)} values; "
                "where some may be missing return a mapping"
            )
        return [_part(one, seen) for one in answer]

    def _missing(self, key: Any) -> KeyError:
        error = KeyError(key)
        error.add_note(f"{self.name} answered, but not for this key")
        return error


def _part(one: Any, seen: set[int]) -> Told:
    if not isinstance(one, BaseException):
        return one, None
    if id(one) in seen:  # one error object for several keys
        one = twin(one)
    seen.add(id(one))
    return None, plain(one)


def clean_context() -> Context:
    """The first caller's context, for a call that is everybody's: not part of his circuit's call, with its
    deadline, nor of his request."""
    context = copy_context()
    context.run(CURRENT.set, None)
    context.run(PRESENT.set, None)
    return context
