"""The files the browser loads, read once and kept in memory. Nothing outside the package can be asked for."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import posixpath
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_log = logging.getLogger("resilient.dashboard")

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
#: Imports that are statements; those made later, by a call, are for what not everybody needs.
_IMPORT = re.compile(r"(?:^|;)import\b[^'\"(;]*['\"](\.[^'\"]+)['\"]", re.MULTILINE)
_LATER = re.compile(r"\bimport\(['\"](\.[^'\"]+)['\"]\)")
MAIN = "app/main.js"
#: Where the bundle is, below the sources it was made of; and what it says of itself.
DIST, LOCK = "dist", "bundle.lock"


class File(NamedTuple):
    """One file as it goes over the wire: plain and compressed."""

    type: str
    plain: bytes
    packed: bytes


def sources(root: Traversable) -> dict[str, bytes]:
    """The files as they were written, by name; without the bundle made of them."""
    return dict(sorted(_walk(root, "")))


def stamp(found: Mapping[str, bytes]) -> str:
    """Names the content of all these files."""
    digest = hashlib.sha256()
    for name, content in found.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def bundle(
    root: Traversable, found: Mapping[str, bytes]
) -> tuple[dict[str, bytes], dict[str, list[str]]] | None:
    """The bundle's files, and which of them each page needs at once. ``None`` unless it was made of exactly
    these sources and is complete."""
    folder = root / DIST
    try:
        lock = json.loads((folder / LOCK).read_text())
        if lock["sources"] != stamp(found):
            return None
        built = {name: folder.joinpath(*name.split("/")).read_bytes() for name in lock["files"]}
        if any(hashlib.sha256(built[name]).hexdigest() != digest for name, digest in lock["files"].items()):
            return None
        return built, lock["pages"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Files:
    """The page and everything it loads: the bundle, where it is that of the sources beside it, else the
    sources themselves. Those always if not ``built``.

    ``version`` is a hash of all contents. It is part of every address but the page's own, so
    browsers may keep what they loaded for ever and still never mix two versions.
    """

    def __init__(self, root: Traversable | None = None, *, built: bool = True) -> None:
        root = root if root is not None else files("dashboard") / "static"
        found = sources(root)
        if "index.html" not in found:
            raise FileNotFoundError("dashboard/static/index.html is not in the installed package")
        wanted = (one for name in found for asked in (_IMPORT, _LATER) for one in _wanted(name, found, asked))
        if lost := sorted({one for one in wanted if one not in found}):
            raise FileNotFoundError(
                f"the web UI's libraries are not in {root}: {', '.join(lost)}; "
                "run python3 tools/vendor_ui.py where npm and its registry can be reached"
            )
        self._pages: dict[str, list[str]] = {}
        #: Whether these are the bundle's.
        self.built = False
        if built:
            if (made := bundle(root, found)) is not None:
                found, self._pages = made
                self.built = True
            else:
                _log.warning(
                    "the web UI is served as it was written, %d files: there is no bundle of these sources"
                    " (python3 tools/vendor_ui.py makes it)",
                    len(found),
                )
        self.version = stamp(found)[:12]
        page = found.pop("index.html").decode()
        self._imports = {name: list(_wanted(name, found, _IMPORT)) for name in found if name.endswith(".js")}
        if not _BOOT.search(page):
            page = page.replace("</head>", f"{_SLOT}</script>\n</head>")
        self._page = page
        self._files = {
            name: _file(name, content, found.get(f"{name}.gz"))
            for name, content in found.items()
            if not name.endswith(".gz")
        }

    def modules(self, view: str) -> list[str]:
        """What a page needs before it shows anything: the kit's modules and those of ``pages/{view}.js``."""
        if self._pages:
            return self._pages.get(view) or self._pages[""]
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
    if name.endswith(".js"):
        for path in asked.findall(found[name].decode()):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def _walk(folder: Traversable, before: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            # Nor what is just being made.
            if before or not (entry.name == DIST or entry.name.startswith(".")):
                yield from _walk(entry, f"{before}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield before + entry.name, entry.read_bytes()


def _file(name: str, content: bytes, packed: bytes | None) -> File:
    # A fixed time, so that the same content packs to the same bytes.
    return File(_TYPES[name.rpartition(".")[2]], content, packed or gzip.compress(content, 9, mtime=0))
