"""Writes the list of cases into ``docs/conformance.md``: ``python -m tests.conformance.listing``."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DOC = HERE.parents[1] / "docs" / "conformance.md"
BEGIN, END = "<!-- cases: written by tests/conformance/listing.py -->", "<!-- end of cases -->"

_LEVELS = {"M": "M", "S": "S", "plus": "+", "Q": "Q"}
_KINDS = ("wire", "clock", "client")


@dataclass(frozen=True, slots=True)
class Case:
    """One test function of a case. ``instead`` says why our own rule is tested in the case's place."""

    number: int
    kind: str
    level: str
    name: str
    title: str
    file: str
    instead: str = ""
    slow: bool = False


def cases() -> list[Case]:
    """All test functions of numbered cases, by number and in the order in which they are written."""
    found = [case for path in sorted(HERE.glob("test_*.py")) for case in _cases(path)]
    return sorted(found, key=lambda case: case.number)


def _cases(path: Path) -> list[Case]:
    found = []
    functions = ast.FunctionDef, ast.AsyncFunctionDef
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, functions) or not node.name.startswith("test_case_"):
            continue
        marks = {name: argument for name, argument in map(_mark, node.decorator_list) if name}
        kinds = [name for name in marks if name in _KINDS]
        title = (ast.get_docstring(node) or "").partition("\n")[0]
        if len(kinds) != 1 or marks[kinds[0]] not in _LEVELS or not title:
            raise ValueError(f"{node.name} needs one marker of {_KINDS} with a level, and a docstring")
        found.append(
            Case(
                number=int(node.name.split("_")[2]),
                kind=kinds[0],
                level=_LEVELS[marks[kinds[0]]],
                name=node.name,
                title=title,
                file=path.name,
                instead=marks.get("instead", ""),
                slow=any(argument.arg == "slowly" for argument in node.args.args),
            )
        )
    return found


def _mark(node: ast.expr) -> tuple[str, str]:
    """Name and first argument of ``@pytest.mark.name("argument")``, a constant of the module included."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return "", ""
    argument = node.args[0] if node.args else None
    if isinstance(argument, ast.Constant):
        return node.func.attr, str(argument.value)
    return node.func.attr, ast.unparse(argument) if argument is not None else ""


def table(found: list[Case]) -> str:
    """The cases as the document lists them: one line each."""
    lines = ["| # | level | how | what holds | test |", "|---|---|---|---|---|"]
    for case in found:
        how = case.kind + (", `--slow`" if case.slow else "")
        title = case.title.replace("|", "\\|").replace("``", "`")
        if case.instead:
            title += f" *In place of the case as written: {case.instead}.*"
        lines.append(f"| {case.number} | {case.level} | {how} | {title} | `{case.file}::{case.name}` |")
    return "\n".join(lines)


def renewed(text: str) -> str:
    """The document with its list as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(cases())}\n{END}{after}"


def main() -> int:
    """Write it; with ``--check`` only say whether it is up to date."""
    text = DOC.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return 0 if renewed(text) == text else 1
    DOC.write_text(renewed(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
