"""The files the browser loads, read once and kept in memory. Nothing outside the package can be asked for."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_BOOT = re.compile(r'<script type="application/json" id="boot">.*?</script>', re.DOTALL)
_SLOT = '<script type="application/json" id="boot">'
_MODULES = "<!-- modules -->\n"
#: Imports that stand at the start of a line; those made later, by a call, are for what not everybody needs.
_IMPORT = re.compile(r"^import\b[^'\"(;]*['\"](\.[^'\"]+)['\"]", re.MULTILINE)
_LATER = re.compile(r"\bimport\(['\"](\.[^'\"]+)['\"]\)")
MAIN = "app/main.js"


class File(NamedTuple):
    """One file as it goes over the wire: plain and compressed."""

    type: str
    plain: bytes
    packed: bytes


class Files:
    """The page and everything it loads.

    ``version`` is a hash of all contents. It is part of every address but the page's own, so
    browsers may keep what they loaded for ever and still never mix two versions.
    """

    def __init__(self, root: Traversable | None = None) -> None:
        root = root if root is not None else files("dashboard") / "static"
        found = dict(sorted(_walk(root, "")))
        if "index.html" not in found:
            raise FileNotFoundError("dashboard/static/index.html is not in the installed package")
        wanted = (one for name in found for asked in (_IMPORT, _LATER) for one in _wanted(name, found, asked))
        if lost := sorted({one for one in wanted if one not in found}):
            raise FileNotFoundError(
                f"the web UI's libraries are not in {root}: {', '.join(lost)}; "
                "run python3 tools/vendor_ui.py where npm and its registry can be reached"
            )
        digest = hashlib.sha256()
        for name, content in found.items():
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        self.version = digest.hexdigest()[:12]
        page = found.pop("index.html").decode()
        self._imports = {name: list(_wanted(name, found, _IMPORT)) for name in found if name.endswith(".js")}
        if not _BOOT.search(page):
            page = page.replace("</head>", f"{_SLOT}</script>\n</head>")
        self._page = page
        self._files = {name: _file(name, content) for name, content in found.items()}

    def modules(self, view: str) -> list[str]:
        """What a page needs before it shows anything: the kit's modules and those of ``pages/{view}.js``."""
        todo = [MAIN, f"app/pages/{view}.js"]
        seen: dict[str, None] = {}
        while todo:
            name = todo.pop()
            if name in self._imports and name not in seen:
                seen[name] = None
                todo.extend(self._imports[name])
        return sorted(seen)

    @lru_cache(maxsize=64)  # noqa: B019 - one for each page and depth
    def _parts(self, depth: int, view: str) -> tuple[bytes, bytes]:
        # Flat preloads, or the browser would find the modules one import after the other.
        links = "".join(f'<link rel="modulepreload" href="@version/{name}">\n' for name in self.modules(view))
        # Relative addresses, so that it also works behind a proxy that adds a prefix.
        page = self._page.replace(_MODULES, links).replace("@version/", f"{'../' * depth}@{self.version}/")
        slot = _BOOT.search(page)
        assert slot is not None
        return page[: slot.start() + len(_SLOT)].encode(), page[slot.end() - len("</script>") :].encode()

    def page(self, depth: int, boot: bytes, view: str = "services") -> bytes:
        """The page for an address ``depth`` folders below the mount, with ``boot`` in its slot."""
        before, after = self._parts(min(depth, 8), view)
        return before + boot + after

    def __getitem__(self, name: str) -> File:
        """The file of that name below ``static/``, with forward slashes. ``KeyError`` if there is none."""
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)


def _wanted(name: str, found: Mapping[str, bytes], asked: re.Pattern[str]) -> Iterator[str]:
    """The files that a module imports."""
    if name.endswith(".js") and not name.startswith("vendor/uplot/"):
        for path in asked.findall(found[name].decode()):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def _walk(folder: Traversable, before: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{before}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield before + entry.name, entry.read_bytes()


def _file(name: str, content: bytes) -> File:
    # A fixed time, so that the same content packs to the same bytes.
    return File(_TYPES[name.rpartition(".")[2]], content, gzip.compress(content, 9, mtime=0))
