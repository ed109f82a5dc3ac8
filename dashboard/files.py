"""The files the browser loads, read once and kept in memory. Nothing outside the package can be asked for."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


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
        found = dict(sorted(_walk(root if root is not None else files("dashboard") / "static", "")))
        if "index.html" not in found:
            raise FileNotFoundError("dashboard/static/index.html is not in the installed package")
        digest = hashlib.sha256()
        for name, content in found.items():
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        self.version = digest.hexdigest()[:12]
        page = found.pop("index.html").decode()
        # Flat preloads, or the browser would find the modules one import after the other.
        modules = "".join(
            f'<link rel="modulepreload" href="@{self.version}/{name}">\n'
            for name in found
            if name.endswith(".js")
        )
        page = page.replace("<!-- modules -->\n", modules).replace("@version/", f"@{self.version}/")
        self.page = _file("index.html", page.encode())
        self._files = {name: _file(name, content) for name, content in found.items()}

    def __getitem__(self, name: str) -> File:
        """The file of that name below ``static/``, with forward slashes. ``KeyError`` if there is none."""
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)


def _walk(folder: Traversable, before: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{before}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield before + entry.name, entry.read_bytes()


def _file(name: str, content: bytes) -> File:
    # A fixed time, so that the same content packs to the same bytes.
    return File(_TYPES[name.rpartition(".")[2]], content, gzip.compress(content, 9, mtime=0))
