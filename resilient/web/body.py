"""The body of a request: bounded while it comes and while it is inflated (L-03..L-05, L-19)."""

import asyncio
import zlib

from aiohttp import hdrs, web

from .connection import BodyTooSlow, Connection
from .limits import DEFAULTS, Limits
from .problems import problem

_CODINGS = frozenset({"", "identity", "gzip"})
_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "iso-8859-1": "iso-8859-1"}
_MAX_KNOWN = 256


def limits_of(request: web.BaseRequest) -> Limits:
    """The limits of the listener that received ``request``."""
    protocol = request.protocol
    return protocol.watch.limits if isinstance(protocol, Connection) else DEFAULTS


def coding_of(request: web.BaseRequest) -> str:
    """``gzip`` or ``""``; anything else, also a list of codings, is refused with 415."""
    values = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    if not values:
        return ""
    coding = values[0].strip().lower()
    if len(values) > 1 or coding not in _CODINGS:
        raise problem(415, "unsupported-coding", "the content coding must be gzip or identity")
    return "gzip" if coding == "gzip" else ""


def media_of(content_type: str) -> tuple[str, str | None]:
    """Media type in lower case, and the codec of its charset: ``None`` when that is not served (L-19)."""
    media, *parameters = content_type.split(";")
    charset: str | None = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = _CHARSETS.get(value.strip().strip('"').strip().lower())
            if charset is None:
                break
    return media.strip().lower(), charset


def charset_of(request: web.BaseRequest) -> str:
    """The codec to decode the body with: ``utf-8`` or ``iso-8859-1``. Others are refused with 415."""
    charset = media_of(request.headers.get(hdrs.CONTENT_TYPE, ""))[1]
    if charset is None:
        raise problem(415, "unsupported-charset", "the charset must be UTF-8 or ISO-8859-1")
    return charset


async def read_body(request: web.BaseRequest, limit: int | None = None) -> bytes:
    """The whole body, decoded, of at most ``limit`` bytes (the listener's ``limits.body`` when not given).

    Raises the HTTP error to answer with: 413 too large or inflating out of all proportion, 400 broken or
    cut off, 408 too slow, 415 a coding other than gzip. Use this instead of ``request.read()``, which knows
    neither limit nor coding here.
    """
    limits = limits_of(request)
    most = limits.body if limit is None else limit
    coding = coding_of(request)
    announced = request.headers.get(hdrs.CONTENT_LENGTH)
    if announced is not None and int(announced) > most:
        raise too_large(most)
    raw = await _collect(request, most, limits)
    return _inflate(raw, most, limits) if coding else raw


def too_large(most: int) -> web.HTTPException:
    """What to raise when a body is over its limit."""
    return problem(413, "too-large", f"the body may have {most} bytes")


async def _collect(request: web.BaseRequest, most: int, limits: Limits) -> bytes:
    content = request.content
    try:
        if content.is_eof() or isinstance(request.protocol, Connection):
            # All there, or the listener's watch looks at the time.
            return await _gather(request, most)
        async with asyncio.timeout(limits.body_timeout):
            return await _gather(request, most)
    except TimeoutError:
        raise problem(408, "too-slow", "the body did not come in time") from None
    except web.RequestPayloadError:
        raise problem(400, "broken-body", "the body is broken or cut off") from None
    except RuntimeError as error:
        if request.transport is None:
            raise ConnectionResetError("the caller hung up") from error
        raise


async def _gather(request: web.BaseRequest, most: int) -> bytes:
    content = request.content
    pieces = []
    size = 0
    while piece := await content.readany():
        size += len(piece)
        if size > most:
            raise too_large(most)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _inflate(raw: bytes, most: int, limits: Limits) -> bytes:
    """One gzip member, inflated no further than allowed."""
    allowed = min(most, max(limits.ratio_free, limits.ratio * len(raw)))
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        out = unzip.decompress(raw, allowed + 1)
        if len(out) > allowed:
            raise too_large(most)
        # The end of the stream may not have been looked at yet, when it is just as long as allowed.
        out += unzip.decompress(unzip.unconsumed_tail, allowed + 1 - len(out))
    except zlib.error:
        raise problem(400, "bad-gzip", "the body is not gzip") from None
    if len(out) > allowed:
        raise too_large(most)
    if not unzip.eof or unzip.unused_data:
        raise problem(400, "bad-gzip", "the body is cut off, or something follows it")
    return out


__all__ = ["BodyTooSlow", "charset_of", "coding_of", "limits_of", "media_of", "read_body", "too_large"]
