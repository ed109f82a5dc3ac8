"""A registry's list of any length, read a piece at a time. Pure.

A hundred thousand instances are a hundred megabytes of JSON, and five on the wire. Parsed in one go they
would take a gigabyte, and a second in which nothing else of the program runs. So the list is unpacked in
steps, and cut where one application or instance ends and the next begins, as Eureka's servers and ours write
that. What is not written like that is parsed as a whole after all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ..errors import WireError
from ..model import Action, Instance
from .json import Page, page, parse, read_applications
from .limits import READING

#: Bytes unpacked at a time, and bytes from which on a list, or an application in it, is cut.
STEP = 256 * 1024
#: Bytes within which a list or an application must begin with what we know.
_HEAD = 2048
# In JSON a quote inside of a text is never written bare, so this stands between two objects and nowhere else.
_APPLICATIONS = b'"application":['
_NEXT_APPLICATION = b']},{"name":"'
_INSTANCES = b'"instance":['
_NEXT_INSTANCE = b'},{"instanceId":"'
_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class _Other(Exception):
    """It is not written as we know it."""


def read_long(body: bytes, encoding: str = "", *, most: int) -> Page:
    """As `json.read_applications`, of a body that may be packed: ``encoding`` as in ``Content-Encoding``.

    WireError also for one of more than ``most`` bytes unpacked.
    """
    if not encoding and len(body) < STEP:
        return read_applications(body)
    try:
        return _piecewise(unpacked(body, encoding, most))
    except _Other:
        return read_applications(b"".join(unpacked(body, encoding, most)))


def unpacked(body: bytes, encoding: str, most: int) -> Iterator[bytes]:
    """The plain bytes, some at a time; WireError for too many, or if they are not what ``encoding`` says."""
    left = most
    for some in _plain(body, encoding.strip().lower()):
        left -= len(some)
        if left < 0:
            raise WireError(f"the answer is larger than {most} bytes")
        yield some


def _plain(body: bytes, encoding: str) -> Iterator[bytes]:
    if encoding in ("", "identity"):
        for at in range(0, len(body), STEP):
            yield body[at : at + STEP]
        return
    bits = _BITS.get(encoding)
    if bits is None:
        raise WireError("the answer has an encoding that nobody asked for")
    try:
        while body:
            inflate = zlib.decompressobj(bits)
            some = inflate.decompress(body, STEP)
            while some or inflate.unconsumed_tail:
                yield some
                some = inflate.decompress(inflate.unconsumed_tail, STEP)
            if not inflate.eof:
                raise WireError("the answer is cut short")
            body = inflate.unused_data
    except zlib.error:
        raise WireError("the answer cannot be unpacked") from None


def _piecewise(plain: Iterator[bytes]) -> Page:
    some = bytearray()
    while (at := some.find(_APPLICATIONS, 0, _HEAD)) < 0:
        part = next(plain, b"")
        if len(some) >= _HEAD or not part:
            raise _Other
        some += part
    at += len(_APPLICATIONS)
    document = _parsed(some[:at] + b"]}}")
    about = document.get("applications") if isinstance(document, dict) else None
    if not isinstance(about, dict) or about.get("application") != []:
        raise _Other
    del some[:at]
    entries: list[tuple[Action, Instance]] = []
    skipped = 0
    for piece in _pieces(some, plain):
        found = page({"application": piece})
        entries += found.entries
        skipped += found.skipped
    told = page(about)
    return Page(told.version, told.fingerprint, entries, skipped)


def _pieces(some: bytearray, more: Iterator[bytes]) -> Iterator[list[object]]:
    """The applications, some at a time; one that is very long comes several times with a part of it each."""
    looked = 0  # so far there is no end of an application
    while True:
        at = some.rfind(_NEXT_APPLICATION, looked)
        if at < 0:
            looked = max(0, len(some) - len(_NEXT_APPLICATION))
        elif len(some) >= STEP:
            yield from _applications(bytes(some[: at + 2]))
            del some[: at + 3]
            looked = 0
        part = next(more, b"")
        if not part:
            break
        some += part
    rest = bytes(some).rstrip()
    if not rest.endswith(b"]}}"):
        raise _Other
    yield from _applications(rest[:-3])


def _applications(text: bytes) -> Iterator[list[object]]:
    if len(text) < 4 * STEP:
        yield _list(text)
        return
    start = 0
    while start < len(text):
        at = text.find(_NEXT_APPLICATION, start)
        end = len(text) if at < 0 else at + 2
        if end - start < STEP:
            yield _list(text[start:end])
        else:
            yield from _parts(text[start:end])
        start = end + 1


def _parts(text: bytes) -> Iterator[list[object]]:
    at = text.find(_INSTANCES, 0, _HEAD) + len(_INSTANCES)
    head = _parsed(text[:at] + b"]}") if at >= len(_INSTANCES) and text.endswith(b"]}") else None
    if not isinstance(head, dict) or head.get("instance") != []:
        raise _Other
    last = len(text) - 2
    while at < last:
        cut = text.find(_NEXT_INSTANCE, at + STEP, last)
        end = last if cut < 0 else cut + 1
        yield [{**head, "instance": _list(text[at:end])}]
        at = end + 1


def _list(text: bytes) -> list[object]:
    found = _parsed(b"[%b]" % text)
    assert isinstance(found, list)
    return found


def _parsed(text: bytes | bytearray) -> object:
    try:
        return parse(bytes(text), READING)
    except WireError:
        raise _Other from None
