"""What readers get, encoded once per change and not once per reader. Pure.

Instances lie in chunks of at most :data:`CHUNK`. A change makes only its own chunk be encoded and
compressed again, and only in the forms that somebody asks for. A heartbeat changes no answer: the
renewal stamp in a list is that of the last change, while a single instance is always shown afresh.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import is_

from resilient.eureka.codec import Format
from resilient.eureka.fields import tree
from resilient.eureka.fingerprint import apps_hash, count
from resilient.model import Action

from .expiry import Lease
from .leases import LeaseTable
from .packing import Answer, Glue, Piece
from .records import Change, Record

#: Instances that are encoded together.
CHUNK = 64
#: Answers kept until the next change: how many, and how many bytes of them.
KEPT_ANSWERS = 256
KEPT_BYTES = 64 * 1024 * 1024
KEPT_VIPS = 64
#: A delta of more changes is a storm, and is made anew at most once in so many seconds.
STORM = 2000
STORM_SECONDS = 1.0

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


class _Chunk:
    __slots__ = ("pieces", "records")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.pieces: dict[str, Piece] = {}

    def piece(self, form: Form) -> Piece:
        found = self.pieces.get(form.name)
        if found is None:
            fragments = map(form.fragment, self.records.values())
            found = self.pieces[form.name] = Piece(form.between_instances.join(fragments))
        return found


class _Shelf:
    """One service's chunks."""

    __slots__ = ("chunks", "name", "where")

    def __init__(self, service: str) -> None:
        self.name = service.upper()
        self.chunks: list[_Chunk] = []
        self.where: dict[str, _Chunk] = {}

    def put(self, id: str, record: Record) -> None:
        chunk = self.where.get(id)
        if chunk is None:
            if not self.chunks or len(self.chunks[-1].records) >= CHUNK:
                self.chunks.append(_Chunk())
            chunk = self.where[id] = self.chunks[-1]
        chunk.records[id] = record
        chunk.pieces.clear()

    def remove(self, id: str) -> None:
        chunk = self.where.pop(id, None)
        if chunk is None:
            return
        del chunk.records[id]
        chunk.pieces.clear()
        if not chunk.records:
            self.chunks.remove(chunk)

    def pieces(self, form: Form) -> Iterator[Piece]:
        between = Glue(form.between_instances)
        for index, chunk in enumerate(self.chunks):
            if index and between.plain:
                yield between
            yield chunk.piece(form)


@dataclass(frozen=True, slots=True)
class _Delta:
    version: int
    at: float
    answer: Answer


class Answers:
    """The bodies of all reads. Tell it of every change, after the table has made it."""

    def __init__(self, table: LeaseTable) -> None:
        self._table = table
        self._shelves: dict[str, _Shelf] = {}
        self._cache: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._cached_bytes = 0
        self._deltas: dict[str, _Delta] = {}
        self._fragments: dict[str, dict[tuple[str, str], tuple[Record, bytes]]] = {}
        self._vips: OrderedDict[tuple[bool, str, str], tuple[list[Record], Answer]] = OrderedDict()

    def apply(self, change: Change) -> None:
        """A record changed."""
        self._cache.clear()
        self._cached_bytes = 0
        shelf = self._shelves.get(change.service)
        if change.action is Action.DELETED:
            if shelf is not None:
                shelf.remove(change.id)
                if not shelf.chunks:
                    del self._shelves[change.service]
            return
        if shelf is None:
            shelf = self._shelves[change.service] = _Shelf(change.service)
        shelf.put(change.id, change.record)

    def everything(self, form: Form) -> Answer:
        """All applications."""
        found = self._cache.get(("", form.name))
        return found if found is not None else self._keep("", form, self._everything(form))

    def application(self, service: str, form: Form) -> Answer | None:
        """One application; None if it has no instance."""
        found = self._cache.get((service, form.name))
        if found is not None:
            return found
        shelf = self._shelves.get(service)
        if shelf is None:
            return None
        before, behind = form.application(shelf.name)
        # The root stands around the whole fragment, as around an empty one.
        opening, _, closing = form.format.document("application", _A).partition(_A)
        pieces = (Glue(opening + before), *shelf.pieces(form), Glue(behind + closing))
        return self._keep(service, form, Answer(form.format.content_type, pieces))

    def delta(self, form: Form) -> Answer:
        """What changed in the last three minutes.

        A large one may be up to :data:`STORM_SECONDS` old, for in a storm of changes every reader would
        get his own. It still is one consistent moment.
        """
        changes, version = self._table.changes(), self._table.delta_version
        kept = self._deltas.get(form.name)
        if kept is not None:
            old = kept.version != version
            if not old or (len(changes) > STORM and self._table.now() - kept.at < STORM_SECONDS):
                return kept.answer
        answer = self._delta(changes, form)
        self._deltas[form.name] = _Delta(version, self._table.now(), answer)
        return answer

    def forget(self) -> None:
        """Drop what no reader will get again. Once per sweep."""
        version = self._table.delta_version
        for name, kept in list(self._deltas.items()):
            if kept.version != version and self._table.now() - kept.at >= STORM_SECONDS:
                del self._deltas[name]
                self._fragments.pop(name, None)

    def vip(self, name: str, form: Form, *, secure: bool) -> Answer:
        """Everybody behind a virtual address, which may be nobody."""
        records = [lease.record for lease in self._table.vip(name, secure=secure)]
        key = (secure, name, form.name)
        kept = self._vips.get(key)
        if kept is not None and len(kept[0]) == len(records) and all(map(is_, kept[0], records)):
            self._vips.move_to_end(key)
            return kept[1]
        fragments = ((one.instance.service, form.fragment(one)) for one in records)
        fingerprint = apps_hash(count(one.instance for one in records))
        answer = _listed(form, "-1", fingerprint, fragments)
        if records:
            self._vips[key] = (records, answer)
            self._vips.move_to_end(key)
            if len(self._vips) > KEPT_VIPS:
                self._vips.popitem(last=False)
        else:
            self._vips.pop(key, None)
        return answer

    def instance(self, lease: Lease, format: Format) -> Answer:
        """One instance, as it is now."""
        standing = lease.record.standing(self._table.wall_ms(lease.renewed))
        fragment = format.write_instance(tree(lease.record.instance, standing))
        return Answer(format.content_type, (Piece(format.document("instance", fragment)),))

    def _everything(self, form: Form) -> Answer:
        before, behind = form.applications("1", apps_hash(self._table.counts))
        pieces: list[Piece] = []
        opening = before
        for shelf in self._shelves.values():
            start, end = form.application(shelf.name)
            pieces += (Glue(opening + start), *shelf.pieces(form))
            opening = end + form.between_applications
        if pieces:
            opening = opening[: len(opening) - len(form.between_applications)]
        return Answer(form.format.content_type, (*pieces, Glue(opening + behind)))

    def _delta(self, changes: list[Change], form: Form) -> Answer:
        grouped: dict[str, list[Change]] = {}
        for change in changes:
            grouped.setdefault(change.service, []).append(change)
        known = self._fragments.get(form.name, {})
        fresh: dict[tuple[str, str], tuple[Record, bytes]] = {}
        before, behind = form.applications(str(self._table.delta_version), apps_hash(self._table.counts))
        between = Glue(form.between_instances)
        pieces: list[Piece] = []
        opening = before
        for service, changed in grouped.items():
            whole, single = self._split(service, changed)
            fragments = []
            for change in single:
                key = (service, change.id)
                kept = known.get(key)
                if kept is None or kept[0] is not change.record:
                    kept = (change.record, form.fragment(change.record))
                fresh[key] = kept
                fragments.append(kept[1])
            start, end = form.application(service.upper())
            pieces.append(Glue(opening + start))
            if fragments:
                pieces += (Piece(form.between_instances.join(fragments)), between)
            for chunk in whole:
                pieces += (chunk.piece(form), between)
            pieces.pop()
            opening = end + form.between_applications
        self._fragments[form.name] = fresh
        if pieces:
            opening = opening[: len(opening) - len(form.between_applications)]
        return Answer(form.format.content_type, (*pieces, Glue(opening + behind)))

    def _split(self, service: str, changed: list[Change]) -> tuple[list[_Chunk], list[Change]]:
        """Chunks to send whole, for most of what they hold has changed, and the other changes one by one.

        A reader applies a delta as often as he gets it, so an instance too many does no harm, and the
        chunk is encoded and compressed already.
        """
        shelf = self._shelves.get(service)
        if shelf is None or len(changed) <= CHUNK:
            return [], changed
        count: dict[_Chunk, int] = {}
        for change in changed:
            chunk = shelf.where.get(change.id)
            if chunk is not None:
                count[chunk] = count.get(chunk, 0) + 1
        whole = {chunk: None for chunk, n in count.items() if n >= CHUNK // 2}
        return list(whole), [one for one in changed if shelf.where.get(one.id) not in whole]

    def _keep(self, name: str, form: Form, answer: Answer) -> Answer:
        if len(self._cache) >= KEPT_ANSWERS or self._cached_bytes + answer.size > KEPT_BYTES:
            self._cache.clear()
            self._cached_bytes = 0
        self._cache[name, form.name] = answer
        self._cached_bytes += answer.size
        return answer


def _listed(form: Form, version: str, fingerprint: str, fragments: Iterable[tuple[str, bytes]]) -> Answer:
    """An ``applications`` answer from fragments with their services."""
    grouped: dict[str, list[bytes]] = {}
    for service, fragment in fragments:
        grouped.setdefault(service, []).append(fragment)
    format = form.format
    applications = (format.write_application(name.upper(), found) for name, found in grouped.items())
    body = format.write_applications(version, fingerprint, applications)
    return Answer(format.content_type, (Piece(body),))
