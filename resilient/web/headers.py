"""What every answer carries, and what none does (S-14, S-15)."""

from collections.abc import Awaitable

from aiohttp import hdrs
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MAX_KNOWN = 128
_PLAIN = ("", False)
#: Content types met so far: what to send instead ("" for as it is), and whether it is a page.
_known: dict[str, tuple[str, bool]] = {}


def dress(headers: CIMultiDict[str]) -> None:
    """Complete the headers of one answer. Safe to call twice."""
    headers.pop(hdrs.SERVER, None)
    headers[_NOSNIFF] = "nosniff"
    kind = headers.get(hdrs.CONTENT_TYPE)
    if kind is None:
        return
    change = _known.get(kind)
    if change is None:
        change = _look_at(kind)
    if change is not _PLAIN:
        if change[0]:
            headers[hdrs.CONTENT_TYPE] = change[0]
        if change[1]:
            for name, value in _PAGE.items():
                headers.setdefault(name, value)


def _look_at(kind: str) -> tuple[str, bool]:
    media, _, parameters = kind.partition(";")
    media = media.strip().lower()
    textual = media.startswith("text/") or media in ("application/json", "application/xml", "image/svg+xml")
    explicit = "" if not textual or "charset=" in parameters.lower() else f"{kind}; charset=utf-8"
    page = media in ("text/html", "application/xhtml+xml", "image/svg+xml")
    change = (explicit, page) if explicit or page else _PLAIN
    if len(_known) < _MAX_KNOWN:
        _known[kind] = change
    return change


_NOSNIFF = "X-Content-Type-Options"


class DressedWriter(StreamWriter):
    """The one place all answers pass, also streams and what aiohttp says about a request it cannot read."""

    def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> Awaitable[None]:  # type: ignore[override]
        # Not a coroutine function: handing the inner one on saves a frame for every answer.
        dress(headers)
        return StreamWriter.write_headers(self, status_line, headers)
