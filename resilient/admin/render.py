"""A page as JSON, as HTML for a browser, or as plain text for a terminal (pure)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from .asked import Ask, Block, Facts, Lines, Link, Page, Refused, Reply, Table, Tone, Words, wants
from .masks import masked_all

STYLE = Path(__file__).with_name("style.css").read_bytes()
STYLE_PATH = "/admin/style.css"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
_TYPES = {
    "json": "application/json; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
#: Characters of one cell of a table.
_WIDEST = 200


def reply(page: Page, ask: Ask, links: Sequence[tuple[str, str]] = (), base: str = "") -> Reply:
    """The answer in the form that was asked for. ``links`` are (path, text) of the pages' menu."""
    form, by_name = wants(ask, page.plain)
    if form == "html":
        body = html(page, ask.path, links, base)
    elif form == "text":
        body = text(page)
    else:
        pretty = "pretty" in ask.query or not by_name
        body = dumps(masked_all(page.data), pretty)
    headers = {"Content-Type": _TYPES[form], **COMMON, **page.headers}
    if form == "html":
        headers.update(SECURITY)
    return Reply(page.status, body.encode("utf-8", "replace"), headers)


def problem(error: Refused, ask: Ask, base: str = "") -> Reply:
    """An error: as JSON, or as a page for whoever wants pages."""
    data = {"error": {"code": error.code, "message": error.message[:512]}}
    form, _ = wants(ask, False)
    page = Page(f"{error.status}", data, [Words(error.message, "bad")], status=error.status)
    if form == "html":
        return _with(reply(page, ask, (), base), error)
    body = dumps(data, False).encode()
    return _with(Reply(error.status, body, {"Content-Type": _TYPES["json"], **COMMON}), error)


def _with(answer: Reply, error: Refused) -> Reply:
    answer.headers.update(error.headers)
    return answer


def dumps(data: Any, pretty: bool) -> str:
    """JSON that any reader takes: what is not finite is ``null``."""
    return json.dumps(_finite(data), indent=2 if pretty else None, default=str) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


# ------------------------------------------------------------------ words for people


def shown(value: object) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, Link | Tone):
        value = value.text
    found = str(value)
    return found if len(found) <= _WIDEST else found[: _WIDEST - 1] + "…"


def _one_line(value: object) -> str:
    return "".join(one if one.isprintable() else "�" for one in shown(value))


# ------------------------------------------------------------------ HTML


def html(page: Page, path: str, links: Sequence[tuple[str, str]] = (), base: str = "") -> str:
    """A whole document. Everything in it is escaped; there is no script."""
    menu = "".join(
        f'<a href="{escape(at(base, to))}"{" aria-current=page" if to == path else ""}>{escape(name)}</a>'
        for to, name in links
    )
    blocks = masked_all(page.blocks)
    body = "".join(f"<section>{_block(block, base)}</section>" for block in blocks)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title>"
        f'<link rel="stylesheet" href="{escape(at(base, STYLE_PATH))}"></head><body>'
        f"<header><b>Resilient</b><nav>{menu}</nav></header>"
        f"<main><h1>{escape(page.title)}</h1>{body}</main>"
        "</body></html>\n"
    )


def at(base: str, path: str) -> str:
    """One of our paths as a link, where the pages are mounted at ``base`` instead of ``/admin``."""
    if not base:
        return path
    return base + (path.removeprefix("/admin") if path.startswith("/admin") else path)


def _block(block: Block, base: str) -> str:
    if isinstance(block, Words):
        return f"<p{_class(block.tone)}>{escape(block.text)}</p>"
    title = f"<h2>{escape(block.title)}</h2>" if block.title else ""
    if isinstance(block, Lines):
        return f"{title}<pre>{escape(block.text)}</pre>"
    if isinstance(block, Facts):
        rows = "".join(
            f"<tr><th scope=row>{escape(name)}</th><td>{_cell(value, base)}</td></tr>"
            for name, value in block.pairs
        )
        return f"{title}<table>{rows}</table>"
    numbers = [name.endswith(">") for name in block.head]
    head = "".join(
        f"<th scope=col{_class('n' if number else '')}>{escape(name.rstrip('>'))}</th>"
        for name, number in zip(block.head, numbers, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_class('n' if number else '')}>{_cell(value, base)}</td>"
            for value, number in zip(row, numbers, strict=True)
        )
        + "</tr>"
        for row in block.rows
    )
    more = f'<p class="more">{escape(block.more)}</p>' if block.more else ""
    if not block.rows:
        return f'{title}<p class="dim">none</p>{more}'
    return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _cell(value: object, base: str) -> str:
    words = escape(shown(value))
    if isinstance(value, Link):
        return f'<a href="{escape(at(base, value.path))}">{words}</a>'
    if isinstance(value, Tone):
        return f'<span class="{value.tone}">{words}</span>'
    return words


# ------------------------------------------------------------------ text


def text(page: Page) -> str:
    """For a terminal: columns, no colours, no control characters."""
    if page.text is not None:
        return "\n".join(_printable(line) for line in page.text.split("\n"))
    parts = []
    for block in masked_all(page.blocks):
        if isinstance(block, Words):
            parts.append(_printable(block.text))
            continue
        title = f"{block.title}\n" if block.title else ""
        if isinstance(block, Lines):
            parts.append(title + "\n".join(_printable(line) for line in block.text.split("\n")))
        elif isinstance(block, Facts):
            wide = max((len(name) for name, _ in block.pairs), default=0)
            parts.append(
                title + "\n".join(f"{name:{wide}}  {_one_line(value)}" for name, value in block.pairs)
            )
        else:
            parts.append(title + _columns(block))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _printable(line: str) -> str:
    return "".join(one if one.isprintable() or one == "\t" else "�" for one in line)


def _columns(table: Table) -> str:
    if not table.rows:
        return "none"
    cells = [[_one_line(value) for value in row] for row in table.rows]
    head = [name.rstrip(">").upper() for name in table.head]
    right = [name.endswith(">") for name in table.head]
    wide = [max(len(row[n]) for row in [head, *cells]) for n in range(len(head))]
    lines = [
        "  ".join(
            one.rjust(width) if aligned else one.ljust(width)
            for one, width, aligned in zip(row, wide, right, strict=True)
        ).rstrip()
        for row in [head, *cells]
    ]
    return "\n".join([*lines, *([table.more] if table.more else [])])
