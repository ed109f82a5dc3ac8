"""Bundle the web UI into ``dashboard/static/dist``: few small files in place of many readable ones.

Done by ``vendor_ui.py``, which brings the bundler. The server hands out the bundle only where it was made of
exactly the sources that lie beside it, so an edit needs no build and nothing stale is ever served.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parent
DASHBOARD = TOOLS.parent / "dashboard"
STATIC = DASHBOARD / "static"

_TEXT = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|/\*.*?\*/|\s+""", re.DOTALL)
_AROUND = re.compile(r" ?([{};,]) ?|(:) ")
_SHEET = re.compile(r'<link rel="stylesheet" href="@version/(css/[^"]+)">\n')


def _files_module() -> Any:
    """The server's own idea of what the sources are; by its path, for a build has no aiohttp at hand."""
    spec = importlib.util.spec_from_file_location("ui_files", DASHBOARD / "files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tool() -> str:
    """Names the way the bundle is made."""
    digest = hashlib.sha256()
    for path in (DASHBOARD / "package-lock.json", TOOLS / "bundle_ui.mjs", Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def current(static: Path = STATIC) -> bool:
    """Whether the bundle is the one of these sources, and made this way."""
    ui = _files_module()
    try:
        lock = json.loads((static / ui.DIST / ui.LOCK).read_text())
        return lock["tool"] == tool() and ui.bundle(static, ui.sources(static)) is not None
    except (OSError, ValueError, KeyError):
        return False


def css(text: str) -> str:
    """The same rules without comments and without spaces that mean nothing."""
    kept: list[str] = []

    def one(found: re.Match[str]) -> str:
        if found[0][0] not in "\"'":
            return " "
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    text = re.sub(" +", " ", _TEXT.sub(one, text))
    text = _AROUND.sub(lambda found: found[1] or found[2], text).replace(";}", "}").strip()
    return re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)


def page(text: str) -> str:
    """The page with one style sheet in place of all."""
    first, *others = _SHEET.finditer(text)
    for found in reversed(others):
        text = text[: found.start()] + text[found.end() :]
    return text.replace(first[1], "app.css")


def build(node: str, modules: Path, static: Path = STATIC) -> None:
    """Make the bundle with the rolldown of ``modules``. ``OSError`` or ``CalledProcessError`` if it fails."""
    ui = _files_module()
    sources = ui.sources(static)
    # A copy, or what somebody edits meanwhile would be in the bundle and not in its stamp.
    copied = modules.parent / "static"
    for name, content in sources.items():
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_bytes(content)
    # Beside the place where it will be, so that one rename puts the complete folder there.
    fresh = static / f".{ui.DIST}-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir()
        text = sources["index.html"].decode()
        sheets = [found[1] for found in _SHEET.finditer(text)]
        (fresh / "app.css").write_text(
            css("\n".join(sources[name].decode() for name in sheets)), encoding="utf-8"
        )
        (fresh / "index.html").write_text(page(text), encoding="utf-8")
        (fresh / "icon.svg").write_bytes(sources["icon.svg"])
        (fresh / "LICENSES.txt").write_bytes(sources["vendor/LICENSES.txt"])
        command = [node, str(TOOLS / "bundle_ui.mjs"), str(copied), str(fresh)]
        done = subprocess.run(command, cwd=modules.parent, capture_output=True, text=True, check=True)
        files = {
            path.relative_to(fresh).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(fresh.rglob("*.*"))
        }
        lock = {
            "sources": ui.stamp(sources),
            "tool": tool(),
            "files": files,
            "pages": json.loads(done.stdout),
        }
        (fresh / ui.LOCK).write_text(json.dumps(lock, indent=1) + "\n")
        shutil.rmtree(static / ui.DIST, ignore_errors=True)
        fresh.rename(static / ui.DIST)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
