"""Who may import whom: a room may import what stands lower, never a neighbour, never up."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"errors", "clock", "events", "background"},
    {"model", "settings"},
    {"circuits", "balancing", "eureka", "given", "flights"},
    {"discovery", "telemetry", "web"},
    {"runtime"},
    {"admin"},
    # On half floors: what the doors share, the doors, and what speaks all their dialects.
    {"allowed", "door", "identity", "request"},
    {"member"},
    {"decorators", "aiohttp", "httpx", "requests", "asgi", "service", "collapsed"},
    {"balanced", "cached"},
    {"retry"},
    {"cli", "testing"},
    {"demo", "__main__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}
PROGRAMS = ("registry_server", "dashboard")
#: A program sees this floor and those below it; its command line may also use the library's.
PROGRAM_SEES = {"registry_server": 5, "dashboard": 5}
COMMANDS = {"command", "__main__"}
#: The composition root, which mounts the pages.
MAY_MOUNT = ("registry_server", "app")
MOST_LINES = 400
#: Third-party libraries with a home of their own.
HOMES = {
    "pybreaker": {"resilient.errors", "resilient.circuits", "resilient.decorators"},
    "zeroconf": {"resilient.discovery"},
    "opentelemetry": {"resilient.telemetry.otel"},
    "structlog": {"resilient.telemetry", "registry_server", "dashboard"},
}


def sources(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py") if "node_modules" not in path.parts)


ALL = [path for package in ("resilient", *PROGRAMS) for path in sources(package)]


def dotted(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Every import in a file, those for type checkers and those inside functions too, as absolute names."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            named = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield node.lineno, (*named, alias.name)


def room(name: tuple[str, ...]) -> str:
    """The room of a name below ``resilient``; empty for the package's root itself."""
    return name[1] if len(name) > 1 and name[1] in FLOOR else ""


def complaints(path: Path) -> Iterator[str]:
    me = dotted(path)
    for line, name in imports(path):
        where = f"{path.relative_to(ROOT)}:{line} imports {'.'.join(name)}"
        if name[0] in PROGRAMS and name[0] != me[0]:
            if me[0] == "resilient":
                yield f"{where}: the library does not know the programs"
            elif me != MAY_MOUNT:
                yield f"{where}: the programs do not import each other"
        if name[0] == "resilient" and me != ("resilient",):
            there = room(name)
            if not there:
                yield f"{where}: nobody imports from the package's root"
            elif me[0] == "resilient":
                here = room(me)
                if here and there != here and FLOOR[there] >= FLOOR[here]:
                    yield f"{where}: {here} is on floor {FLOOR[here]}, {there} on floor {FLOOR[there]}"
            elif FLOOR[there] > PROGRAM_SEES[me[0]] and not COMMANDS & set(me):
                yield f"{where}: {me[0]} sees floors 1 to {PROGRAM_SEES[me[0]]}, {there} is on {FLOOR[there]}"
        if name[0] in HOMES and not any(".".join(me).startswith(home) for home in HOMES[name[0]]):
            yield f"{where}: {name[0]} is at home in {', '.join(sorted(HOMES[name[0]]))}"
        if name[0] == "aiohttp" and me[0] == "resilient" and FLOOR.get(room(me), 9) <= 3:
            yield f"{where}: aiohttp is for floor 4 and above"


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_only_look_down(path: Path) -> None:
    assert list(complaints(path)) == []


def test_every_room_is_on_a_floor() -> None:
    here = {path.stem for path in (ROOT / "resilient").glob("*.py")} - {"__init__"}
    here |= {path.parent.name for path in (ROOT / "resilient").glob("*/__init__.py")}
    assert here - set(FLOOR) == set()


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) < MOST_LINES


def loaded(statement: str) -> set[str]:
    """The modules a fresh interpreter has after ``statement``."""
    script = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(done.stdout.split())


def test_importing_the_library_loads_no_client_and_starts_nothing() -> None:
    modules = loaded("import resilient, threading; assert threading.active_count() == 1")
    assert modules.isdisjoint(
        {"aiohttp", "httpx", "requests", "zeroconf", "structlog", "uvloop", "dashboard"}
    )
    modules = loaded("import resilient\n@resilient.circuit\ndef f(): return 1\nf()")
    assert "aiohttp" not in modules


def test_the_rooms_of_the_lower_floors_load_no_client() -> None:
    names = [
        ".".join(dotted(path))
        for path in sources("resilient")
        if 1 <= FLOOR.get(room(dotted(path)), 9) <= 3 and path.stem != "__init__"
    ]
    assert len(names) > 20
    assert loaded("import " + ", ".join(names)).isdisjoint({"aiohttp", "httpx", "requests", "zeroconf"})


def test_the_rules_notice_what_they_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    guilty = {
        "resilient/circuits/a.py": "from ..balancing import balancer",
        "resilient/balancing/b.py": "import typing\nif typing.TYPE_CHECKING:\n    from ..runtime import x",
        "resilient/eureka/c.py": "def f():\n    import aiohttp",
        "resilient/web/d.py": "from resilient import circuit",
        "resilient/telemetry/e.py": "import dashboard.app",
        "registry_server/f.py": "from dashboard import app",
        "registry_server/g.py": "from resilient.admin import site",
        "resilient/clock.py": "import pybreaker",
        "resilient/discovery/h.py": "from .. import runtime",
    }
    for name, text in guilty.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert len(list(complaints(path))) == 1, name
    innocent = tmp_path / "registry_server/app.py"
    innocent.write_text("from dashboard import app\nfrom resilient.model import Instance")
    assert list(complaints(innocent)) == []
