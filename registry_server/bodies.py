"""Request bodies as this server takes them: JSON or XML, of a size that depends on what they are."""

from __future__ import annotations

from aiohttp import hdrs, web

from resilient.eureka.codec import Format, as_utf8, sent
from resilient.web.body import read_body
from resilient.web.limits import DEFAULTS
from resilient.web.problems import problem

#: Bytes of a client's write, of a push of circuits, of a batch of a peer; all after decompression.
WRITE = DEFAULTS.body
PUSH = 1024 * 1024
BATCH = DEFAULTS.batch_body


async def read_text(request: web.Request, limit: int) -> tuple[Format, bytes]:
    """A JSON or XML body in UTF-8 and its format. Raises the HTTP error to answer with, or WireError."""
    # What web forms can send without asking first is refused by this, too.
    format = sent(request.headers.get(hdrs.CONTENT_TYPE))
    if format is None:
        raise problem(415, "unsupported-type", "Content-Type must be application/json or application/xml")
    text = as_utf8(await read_body(request, limit), request.charset)
    if text is None:
        raise problem(415, "unsupported-charset", "charset must be UTF-8 or ISO-8859-1")
    return format, text
