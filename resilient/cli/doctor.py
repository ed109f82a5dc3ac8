"""``resilient doctor``: what is set, by whom, and what is wrong, each with its cure."""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import TYPE_CHECKING

from .parser import common

if TYPE_CHECKING:
    from .checkup import Check
    from .parser import Parsers
    from .reach import Step
    from .screen import Screen


def add(parsers: Parsers) -> None:
    """Add ``doctor``."""
    about = "Looks at the installation, the settings and the way to the registry. Changes nothing."
    parser = parsers.add_parser(
        "doctor", help=about, description=about, epilog="Exit code 0 if nothing is wrong, 1 otherwise."
    )
    common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examine all, show all; 1 if there is a problem."""
    from . import checkup
    from .screen import Screen, show_json

    given = {name: value for name in ("registry", "token") if (value := getattr(args, name)) is not None}
    here = list(checkup.installation())
    settings, about_settings = checkup.settings(os.environ, given)
    from .reach import reach

    steps, there = asyncio.run(reach(settings))
    rows = checkup.rows_of(settings)
    every = [*here, *about_settings, *there]
    problems = sum(check.level == "problem" for check in every)
    if args.json:
        show_json(
            {
                "good": not problems,
                "checks": [check._asdict() for check in every],
                "settings": rows,
                "search": [step._asdict() for step in steps],
            }
        )
    else:
        show(Screen(), [("Installation", here), ("Settings", about_settings)], rows, steps, there)
    return 1 if problems else 0


def show(
    screen: Screen,
    parts: list[tuple[str, list[Check]]],
    rows: list[dict[str, str]],
    steps: list[Step],
    registry: list[Check],
) -> None:
    """All of it, ending with one line that says how it stands."""
    from rich.padding import Padding
    from rich.text import Text

    from .screen import count, safe, table

    for title, checks in parts:
        screen.show(Text(title, "bold"))
        _checks(screen, checks)
        screen.show("")
    grid = table("SETTING", "VALUE", "FROM")
    for row in rows:
        style = "dim" if row["source"] == "default" else ""
        grid.add_row(*(Text(safe(row[key], 160), style) for key in ("name", "value", "source")))
    screen.show(Padding(grid, (0, 0, 0, 4)), "")
    screen.show(Text("Registry", "bold"))
    search = table("LOOKED FOR AT", "")
    for step in steps:
        used = step.outcome in ("given", "set", "answers", "found")
        search.add_row(*(Text(safe(word), "" if used else "dim") for word in step))
    screen.show(Padding(search, (0, 0, 0, 4)), "")
    _checks(screen, registry)
    every = [*(check for _, checks in parts for check in checks), *registry]
    wrong = sum(check.level == "problem" for check in every)
    screen.show(
        "",
        Text(
            f"{count(wrong, 'problem')}; what helps stands below each." if wrong else "Nothing is wrong.",
            "bold",
        ),
    )


def _checks(screen: Screen, checks: list[Check]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from .screen import safe, table

    grid = table("", "", "")
    grid.show_header = False
    for check in checks:
        words = Text(safe(check.text))
        if check.cure:
            words.append(f"\n{safe(check.cure)}", "bold")
        grid.add_row(screen.mark(check.level), Text(safe(check.name)), words)
    screen.show(Padding(grid, (0, 0, 0, 2)))
