"""What must not be in the source at all: S-21 to S-23, S-26, S-27, S-30, S-34."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import Process

ROOT = Path(__file__).parents[2]
SERVERS = [
    *(ROOT / "registry_server").rglob("*.py"),
    *(ROOT / "dashboard").glob("*.py"),
    *(ROOT / "resilient" / "web").glob("*.py"),
]
EVERYTHING = [*SERVERS, *(ROOT / "resilient").rglob("*.py")]
CODE_FROM_DATA = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "marshal", "shelve", "yaml", "dill", "jinja2", "mako", "xml.sax", "xml.dom", "lxml"}


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(), str(path)))


def imported(path: Path) -> set[str]:
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_S26_and_S34_no_data_becomes_code(path: Path) -> None:
    assert not {name for name in imported(path) if name in MODULES or name.split(".")[0] in MODULES}
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in CODE_FROM_DATA, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_S23_no_forms_no_files_by_path_and_S27_one_json_reader(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Attribute):
            where = f"{path}:{node.lineno}"
            assert node.attr not in ("multipart", "add_static", "static", "FileResponse"), where
            if isinstance(node.value, ast.Name) and node.value.id == "request":
                # Nor the readers that know neither size nor coding.
                assert node.attr not in ("post", "json", "text", "read"), where
    if not path.is_relative_to(ROOT / "registry_server"):
        return
    assert "json" not in imported(path)
    # A bounded list of heartbeats, what processes push (checked field by field), and our own files.
    known = (
        "renewals.py",
        "board_ends.py",
        "board_periods.py",
        "board_push.py",
        "board_wire.py",
        "foreign_rows.py",
        "snapshots.py",
        "snapshots_file.py",
    )
    assert not {"orjson", "msgspec"} & set(imported(path)) or path.name in known


def test_S30_pages_put_no_data_in_as_markup() -> None:
    static = ROOT / "dashboard" / "static"
    pages = [path for path in static.rglob("*.js") if path.relative_to(static).parts[0] == "app"]
    assert pages
    for path in pages:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|unsafeHTML|document\.write|\beval\(|new Function",
            path.read_text(),
        ), path


def test_S22_the_floor_under_aiohttp() -> None:
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (floor,) = (re.search(r">=\s*([0-9.]+)", one) for one in needs if re.match(r"aiohttp\b", one))
    assert floor is not None
    assert tuple(map(int, floor[1].split("."))) >= (3, 14, 1)


def test_S21_the_slow_parser_is_said() -> None:
    with Process(
        sys.executable, "-m", "resilient", "registry", "--port", "0", "--json", AIOHTTP_NO_EXTENSIONS="1"
    ) as process:
        process.line(lambda line: line.startswith('{"url"'))
        assert any("parser" in line for line in process.said)
