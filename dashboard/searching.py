"""Looking through all instances for those who type: by id, address or metadata. A slice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter

from .services import kind_of
from .source import Entry, Row, Source

#: Instances in one answer, questions about metadata in one request, characters of one of them.
MOST, QUESTIONS, LONGEST = 20, 10, 200
#: Seconds of one slice, and for which an answer is good enough for the same question.
SLICE, GOOD = 0.004, 2.0
_KEPT = 50

_Made = Callable[[list[str]], Awaitable[Row]]


class Search:
    """One search runs at a time, so many readers do not make it slower for the others."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = asyncio.Lock()
        self._answers: dict[tuple[str, ...], tuple[float, Row]] = {}

    async def instances(self, text: str) -> Row:
        """The first :data:`MOST` instances in whose id or address all words of ``text`` are."""
        words = text[:LONGEST].lower().split()
        return await self._once(("instances", *words), self._instances, words)

    async def having(self, questions: list[str]) -> Row:
        """For each ``key:value`` the services that have an instance with such metadata.

        Keys are compared without regard to case; the value may be anywhere in theirs.
        """
        asked = list(dict.fromkeys(one[:LONGEST].lower() for one in questions[:QUESTIONS] if ":" in one))
        return await self._once(("having", *asked), self._having, asked)

    async def _once(self, key: tuple[str, ...], search: _Made, asked: list[str]) -> Row:
        async with self._lock:
            now = perf_counter()
            until, found = self._answers.get(key, (0.0, {}))
            if now >= until:
                found = await search(asked)
                if len(self._answers) >= _KEPT:
                    self._answers.clear()
                ended = perf_counter()
                self._answers[key] = (ended + max(GOOD, 5 * (ended - now)), found)
            return found

    async def _instances(self, words: list[str]) -> Row:
        found: list[Row] = []
        if words:
            async for name, (id, url, status, late, _) in self._entries():
                text = f"{id} {url}".lower()
                if all(word in text for word in words):
                    if len(found) == MOST:
                        return {"rows": found, "more": True}
                    found.append({"service": name, "id": id, "url": url, "kind": kind_of(status, late)})
        return {"rows": found, "more": False}

    async def _having(self, asked: list[str]) -> Row:
        found: dict[str, dict[str, None]] = {one: {} for one in asked}
        if not asked:
            return {"services": {}}
        questions = [(one, *one.partition(":")[::2]) for one in asked]
        async for name, (_, _, _, _, metadata) in self._entries():
            for question, key, value in questions:
                names = found[question]
                if name not in names and any(
                    value in text.lower() for one, text in metadata.items() if one.lower() == key
                ):
                    names[name] = None
        return {"services": {question: list(names) for question, names in found.items()}}

    async def _entries(self) -> AsyncIterator[tuple[str, Entry]]:
        until = perf_counter() + SLICE
        for name in self._source.names():
            for entry in self._source.entries(name):
                yield name, entry
                if perf_counter() > until:
                    await asyncio.sleep(0)
                    until = perf_counter() + SLICE
