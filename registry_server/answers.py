"""What readers get, encoded once per change and not once per reader. Pure.

A heartbeat changes no answer: the renewal stamp in a list is that of the last change, while a single
instance is always shown afresh.

What takes long is done in steps. The first one captures what is to be said, so that an answer shows one
moment however long its making takes; the ``..._soon`` methods let the loop serve others between steps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from operator import is_

from resilient.eureka.codec import Format
from resilient.eureka.fields import tree
from resilient.eureka.fingerprint import apps_hash, count
from resilient.model import Action

from .expiry import Lease
from .leases import LeaseTable
from .packing import Answer, Piece, glue
from .records import Change, Record
from .shelves import CHUNK, Captured, Chunk, Form, Shelf
from .slices import Shared, whole

__all__ = ["CHUNK", "STORM", "Answers", "Form"]

#: Answers kept until the next change: how many, and how many bytes of them.
KEPT_ANSWERS = 256
KEPT_BYTES = 64 * 1024 * 1024
KEPT_VIPS = 64
#: A delta of more changes is a storm, and is made anew at most once in so many seconds.
STORM = 2000
STORM_SECONDS = 1.0
#: A form that nobody has read for so long (seconds) is forgotten, compressed pieces and all.
UNREAD_SECONDS = 300.0

_A = b"\x01A\x01"
_DELETED = Action.DELETED  # by name: reading a member of an enumeration is slow on Python 3.11

Steps = Generator[None, None, Answer]


@dataclass(frozen=True, slots=True)
class _Delta:
    version: int
    at: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class _Kept:
    version: object
    answer: Answer


class Answers:
    """The bodies of all reads. Tell it of every change, after the table has made it."""

    def __init__(self, table: LeaseTable) -> None:
        self._table = table
        self._shelves: dict[str, Shelf] = {}
        self._cache: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._deltas: dict[str, _Delta] = {}
        self._fragments: dict[str, dict[tuple[str, str], tuple[Record, bytes]]] = {}
        self._vips: OrderedDict[tuple[bool, str, str], tuple[list[Record], Answer]] = OrderedDict()
        self._read: dict[str, float] = {}
        self._shared = Shared()

    def apply(self, change: Change) -> None:
        """A record changed."""
        if change.action is _DELETED:
            shelf = self._shelves.get(change.service)
            if shelf is not None:
                shelf.remove(change.id)
                if not shelf.chunks:
                    del self._shelves[change.service]
                    for name in self._read:
                        self._cache.pop((change.service, name), None)
            return
        self.put(change.record)

    def put(self, record: Record) -> None:
        """A record is this from now on."""
        instance = record.instance
        shelf = self._shelves.get(instance.service)
        if shelf is None:
            shelf = self._shelves[instance.service] = Shelf(instance.service)
        shelf.put(instance.id, record)

    def parts(self, service: str, form: Form) -> Iterator[bytes]:
        """The instances of a service, some at a time, each part as it is when it is asked for."""
        self._read[form.name] = self._table.now()
        shelf = self._shelves.get(service)
        return shelf.parts(form) if shelf is not None else iter(())

    # --- reads that are answered at once

    def everything(self, form: Form) -> Answer:
        """All applications."""
        found = self._found("", form, self._table.version)
        return found if found is not None else whole(self._everything(form))

    def application(self, service: str, form: Form) -> Answer | None:
        """One application; None if it has no instance."""
        shelf = self._shelves.get(service)
        if shelf is None:
            return None
        found = self._found(service, form, (shelf, shelf.version))
        return found if found is not None else whole(self._application(service, shelf, form))

    def delta(self, form: Form) -> Answer:
        """What changed in the last three minutes.

        A large one may be up to :data:`STORM_SECONDS` old, for in a storm of changes every reader would
        get his own. It still is one consistent moment.
        """
        found = self._found_delta(form)
        return found if found is not None else whole(self._delta(form))

    # --- the same, with others served meanwhile

    async def everything_soon(self, form: Form) -> Answer:
        """:meth:`everything`."""
        found = self._found("", form, self._table.version)
        if found is not None:
            return found
        return await self._shared.run(("all", form.name), lambda: self._everything(form))

    async def application_soon(self, service: str, form: Form) -> Answer | None:
        """:meth:`application`."""
        shelf = self._shelves.get(service)
        if shelf is None or len(shelf.chunks) <= 1:
            return self.application(service, form)
        found = self._found(service, form, (shelf, shelf.version))
        if found is not None:
            return found
        return await self._shared.run(
            ("one", service, form.name), lambda: self._application(service, shelf, form)
        )

    async def delta_soon(self, form: Form) -> Answer:
        """:meth:`delta`."""
        found = self._found_delta(form)
        if found is not None:
            return found
        return await self._shared.run(("delta", form.name), lambda: self._delta(form))

    def forget(self) -> None:
        """Drop what no reader will get again. Once per sweep."""
        version, now = self._table.delta_version, self._table.now()
        for name, kept in list(self._deltas.items()):
            if kept.version != version and now - kept.at >= STORM_SECONDS:
                del self._deltas[name]
                self._fragments.pop(name, None)
        for name, at in list(self._read.items()):
            if now - at >= UNREAD_SECONDS:
                del self._read[name]
                for shelf in self._shelves.values():
                    shelf.forget(name)
                for key in [key for key in self._cache if key[1] == name]:
                    del self._cache[key]

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

    def _everything(self, form: Form) -> Steps:
        version, number = self._table.version, self._table.number
        before, behind = form.applications("1", apps_hash(self._table.counts))
        shelves = [shelf.application(form) for shelf in self._shelves.values()]
        pieces: list[Piece] = [Piece(before)]
        check = pieces[0].crc
        for index, steps in enumerate(shelves):
            if index and form.between_applications:
                between = glue(form.between_applications)
                pieces.append(between)
                check = between.after(check)
            run = yield from steps
            pieces.append(run)
            check = run.after(check)
            yield
        end = glue(behind)
        pieces.append(end)
        answer = Answer(form.format.content_type, pieces, number, check=end.after(check))
        return self._keep("", form, version, answer)

    def _application(self, service: str, shelf: Shelf, form: Form) -> Steps:
        version = (shelf, shelf.version)
        run = yield from shelf.application(form)
        # The root stands around the whole fragment, as around an empty one.
        opening, _, closing = form.format.document("application", _A).partition(_A)
        return self._keep(
            service, form, version, Answer(form.format.content_type, (glue(opening), run, glue(closing)))
        )

    def _found_delta(self, form: Form) -> Answer | None:
        self._table.forget()
        kept = self._deltas.get(form.name)
        if kept is None:
            return None
        fresh = kept.version == self._table.delta_version
        if fresh or (self._table.changed_lately > STORM and self._table.now() - kept.at < STORM_SECONDS):
            return kept.answer
        return None

    def _delta(self, form: Form) -> Steps:
        changes, version, number = self._table.changes(), self._table.delta_version, self._table.number
        before, behind = form.applications(str(version), apps_hash(self._table.counts))
        grouped: dict[str, list[Change]] = {}
        for change in changes:
            grouped.setdefault(change.service, []).append(change)
        split = [(service, *self._split(service, changed, form)) for service, changed in grouped.items()]
        known = self._fragments.get(form.name, {})
        fresh: dict[tuple[str, str], tuple[Record, bytes]] = {}
        between = glue(form.between_instances)
        pieces: list[Piece] = []
        opening = before
        for service, chunks, single in split:
            fragments = []
            for change in single:
                key = (service, change.id)
                kept = known.get(key)
                if kept is None or kept[0] is not change.record:
                    kept = (change.record, form.fragment(change.record))
                    yield
                if len(changes) <= STORM:
                    fresh[key] = kept
                fragments.append(kept[1])
            start, end = form.application(service.upper())
            pieces.append(Piece(opening + start))
            if fragments:
                pieces += (Piece(form.between_instances.join(fragments)), between)
            for chunk in chunks:
                pieces += (chunk.piece(), between)
                yield
            pieces.pop()
            opening = end + form.between_applications
            yield
        self._fragments[form.name] = fresh
        if pieces:
            opening = opening[: len(opening) - len(form.between_applications)]
        answer = Answer(form.format.content_type, (*pieces, Piece(opening + behind)), number)
        self._deltas[form.name] = _Delta(version, self._table.now(), answer)
        return answer

    def _split(self, service: str, changed: list[Change], form: Form) -> tuple[list[Captured], list[Change]]:
        """Chunks to send whole, for most of what they hold has changed, and the other changes one by one.

        A reader applies a delta as often as he gets it, so an instance too many does no harm, and the
        chunk is encoded and compressed already.
        """
        shelf = self._shelves.get(service)
        if shelf is None or len(changed) <= CHUNK:
            return [], changed
        count: dict[Chunk, int] = {}
        for change in changed:
            chunk = shelf.where.get(change.id)
            if chunk is not None:
                count[chunk] = count.get(chunk, 0) + 1
        most = {chunk: None for chunk, n in count.items() if n >= CHUNK // 2}
        return (
            [Captured(chunk, form) for chunk in most],
            [one for one in changed if shelf.where.get(one.id) not in most],
        )

    def _found(self, name: str, form: Form, version: object) -> Answer | None:
        self._read[form.name] = self._table.now()
        kept = self._cache.get((name, form.name))
        return kept.answer if kept is not None and kept.version == version else None

    def _keep(self, name: str, form: Form, version: object, answer: Answer) -> Answer:
        key = (name, form.name)
        self._cache[key] = _Kept(version, answer)
        self._cache.move_to_end(key)
        if (
            len(self._cache) > KEPT_ANSWERS
            or sum(kept.answer.weight for kept in self._cache.values()) > KEPT_BYTES
        ):
            self._cache.popitem(last=False)
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
