"""Instances as readers get them, encoded and compressed once for each change. Pure.

Instances lie in chunks of at most :data:`CHUNK`, on a shelf for each service. A change makes only its own
chunk be encoded and compressed again, and only in the forms that somebody asks for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from resilient.eureka.codec import Format
from resilient.eureka.fields import tree

from .packing import KEPT_PLAIN, Piece, Run, glue
from .records import Record

#: Instances that are encoded together.
CHUNK = 64

_A, _B = b"\x01A\x01", b"\x01B\x01"


@dataclass(frozen=True, slots=True)
class Form:
    """A spelling, full or compact, and the bytes that stand between its parts."""

    name: str
    format: Format
    compact: bool
    between_instances: bytes
    between_applications: bytes

    @classmethod
    def of(cls, format: Format, compact: bool) -> Form:
        """The form of a format; ``compact`` leaves out what a caller does not need."""
        name = f"{format.name}{'-compact' if compact else ''}"
        instances = _gap(format.write_application("X", (_A, _B)))
        return cls(name, format, compact, instances, _gap(format.write_applications("1", "", (_A, _B))))

    def fragment(self, record: Record) -> bytes:
        """One instance without a root."""
        return self.format.write_instance(tree(record.instance, record.standing(), compact=self.compact))

    def application(self, name: str) -> tuple[bytes, bytes]:
        """What stands before and behind the instances of an application."""
        before, _, behind = self.format.write_application(name, (_A,)).partition(_A)
        return before, behind

    def applications(self, version: str, fingerprint: str) -> tuple[bytes, bytes]:
        """What stands before and behind the applications."""
        before, _, behind = self.format.write_applications(version, fingerprint, (_A,)).partition(_A)
        return before, behind


def _gap(written: bytes) -> bytes:
    return written[written.index(_A) + len(_A) : written.index(_B)]


class Chunk:
    __slots__ = ("pieces", "records", "version")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.pieces: dict[str, Piece] = {}
        self.version = 0

    def changed(self) -> None:
        self.version += 1
        self.pieces.clear()


class Captured:
    """A chunk as it was at one moment, in one form."""

    __slots__ = ("chunk", "form", "found", "records", "version")

    def __init__(self, chunk: Chunk, form: Form) -> None:
        self.chunk = chunk
        self.form = form
        self.version = chunk.version
        self.found = chunk.pieces.get(form.name)
        self.records = () if self.found is not None else tuple(chunk.records.values())

    def piece(self) -> Piece:
        """It, encoded; for others to use too, if it still is like that."""
        if self.found is None:
            form = self.form
            self.found = Piece(form.between_instances.join(map(form.fragment, self.records)))
            if self.found.size >= KEPT_PLAIN:
                _ = self.found.packed
            if self.chunk.version == self.version:
                self.chunk.pieces[form.name] = self.found
        return self.found


class Shelf:
    """One service's chunks."""

    __slots__ = ("chunks", "name", "runs", "version", "where")

    def __init__(self, service: str) -> None:
        self.name = service.upper()
        self.chunks: list[Chunk] = []
        self.where: dict[str, Chunk] = {}
        self.runs: dict[str, Run] = {}
        self.version = 0

    def put(self, id: str, record: Record) -> None:
        chunk = self.where.get(id)
        if chunk is None:
            if not self.chunks or len(self.chunks[-1].records) >= CHUNK:
                self.chunks.append(Chunk())
            chunk = self.where[id] = self.chunks[-1]
        chunk.records[id] = record
        self._changed(chunk)

    def remove(self, id: str) -> None:
        chunk = self.where.pop(id, None)
        if chunk is None:
            return
        del chunk.records[id]
        self._changed(chunk)
        if not chunk.records:
            self.chunks.remove(chunk)

    def _changed(self, chunk: Chunk) -> None:
        chunk.changed()
        self.version += 1
        self.runs.clear()

    def forget(self, form: str) -> None:
        self.runs.pop(form, None)
        for chunk in self.chunks:
            chunk.pieces.pop(form, None)

    def application(self, form: Form) -> Generator[None, None, Run]:
        """The application without its root, in steps; captured when the generator is made."""
        found = self.runs.get(form.name)
        chunks = [] if found is not None else [Captured(chunk, form) for chunk in self.chunks]
        return self._application(form, found, chunks, self.version)

    def _application(
        self, form: Form, found: Run | None, chunks: list[Captured], version: int
    ) -> Generator[None, None, Run]:
        if found is not None:
            return found
        before, behind = form.application(self.name)
        between = form.between_instances
        pieces = [Piece(before)]
        for index, chunk in enumerate(chunks):
            if index and between:
                pieces.append(glue(between))
            pieces.append(chunk.piece())
            yield
        pieces.append(glue(behind))
        found = Run(pieces)
        if self.version == version:
            self.runs[form.name] = found
        return found

    def parts(self, form: Form) -> Iterator[bytes]:
        """The instances, some at a time, each part as it is when it is asked for."""
        for chunk in tuple(self.chunks):
            if chunk.records:
                yield Captured(chunk, form).piece().plain
