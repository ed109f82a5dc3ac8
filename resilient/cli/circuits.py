"""``resilient circuits [--watch]``: what callers say of their circuits."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING

from ..errors import RegistrySilent
from .lists import where
from .parser import common, settings_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..settings import Settings
    from .estate import Estate, Row
    from .parser import Parsers
    from .screen import Screen

#: Seconds between two looks.
EVERY = 1.0


def add(parsers: Parsers) -> None:
    """Add ``circuits``."""
    about = "The circuits of all callers that this registry knows, with their rates and errors."
    parser = parsers.add_parser("circuits", help=about, description=about)
    parser.add_argument("--watch", action="store_true", help="look again every second until Ctrl-C")
    common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show all circuits, once or again and again."""
    settings = settings_of(args)
    try:
        return asyncio.run(_run(settings, watch=args.watch, as_json=args.json))
    except KeyboardInterrupt:
        if args.watch:
            return 0  # the way to end it
        raise


async def _run(settings: Settings, *, watch: bool, as_json: bool) -> int:
    from .estate import Estate
    from .screen import Screen, show_json

    async with await Estate.find(settings) as there:
        found = await there.circuits()
        if found is None:
            print(
                f"resilient: {there.url} keeps no circuits, as it is not one of ours; "
                "a registry started with 'resilient registry' does",
                file=sys.stderr,
            )
            return 1
        screen = Screen()
        if watch:
            await _watch(screen, there, found, settings, as_json=as_json)
        elif as_json:
            show_json(found)
        else:
            screen.show(*picture(screen, found, where(there, settings)))
    return 0


async def _watch(
    screen: Screen, there: Estate, found: list[Row], settings: Settings, *, as_json: bool
) -> None:
    import json

    from rich.console import Group
    from rich.live import Live

    place = where(there, settings)
    if as_json or not screen.console.is_terminal:
        while True:
            if as_json:
                print(json.dumps(found), flush=True)
            else:
                screen.show(*picture(screen, found, place), "")
            await asyncio.sleep(EVERY)
            found = await there.circuits() or []
    heard = time.monotonic()
    trouble = ""
    with Live(console=screen.console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            live.update(Group(*picture(screen, found, place, trouble)), refresh=True)
            await asyncio.sleep(EVERY)
            try:
                found = await there.circuits() or []
                heard, trouble = time.monotonic(), ""
            except RegistrySilent as error:
                # The last picture stays, and says how old it is.
                trouble = f"{time.monotonic() - heard:.0f} s old: {error}"


#: A narrower terminal gets fewer columns, and the errors below the table.
WIDE = 120


def picture(screen: Screen, found: list[Row], place: str, trouble: str = "") -> list[RenderableType]:
    """What to show."""
    from rich.text import Text

    from .estate import text
    from .screen import count, safe

    shown: list[RenderableType] = []
    if found:
        shown += [_table(screen, found), Text()]
    else:
        shown.append(Text("No circuits yet: callers tell of theirs within seconds of their first call."))
    if screen.console.width < WIDE:
        errors = [(one, error) for one in found if (error := _error(one))]
        for one, error in errors:
            line = Text(f"{_name(one)}: ", no_wrap=True, overflow="ellipsis").append(error, "dim")
            shown.append(line)
        shown += [Text()] * bool(errors)
    troubled = sum(text(one, "state") not in ("closed", "forced-closed") for one in found)
    remarks = [count(len(found), "circuit")] if found else []
    if troubled:
        remarks.append(f"{troubled} not closed")
    summary = screen.dot.join([*remarks, safe(place)])
    shown.append(Text(summary, "dim", overflow="ignore", no_wrap=True))
    if trouble:
        shown.append(Text(safe(trouble), "yellow"))
    return shown


def _table(screen: Screen, found: list[Row]) -> RenderableType:
    from rich.text import Text

    from .estate import number, table_of, text
    from .screen import CIRCUITS, millis, safe, table

    wide = screen.console.width >= WIDE
    columns = ["CALLER", "CIRCUIT", "STATE", "CALLS/S>", "ERRORS>", "P50>", "P99>", "RUNNING>", "LAST ERROR"]
    grid = table(*(columns if wide else columns[:5] + columns[6:8]))
    for one in found:
        latency = table_of(one, "latency")
        share = number(one, "error_rate")
        cells = [
            Text(safe(text(one, "service"))),
            Text(_name(one)),
            screen.state(CIRCUITS, text(one, "state"), _more(one)),
            Text(f"{number(one, 'rate') or 0:.1f}"),
            Text("" if share is None else f"{share:.0%}", "red" if _failing(one) else ""),
            Text(millis(number(latency, "p99"))),
            Text(_running(one)),
        ]
        if wide:
            cells.insert(5, Text(millis(number(latency, "p50"))))
            cells.append(Text(_error(one), "dim", no_wrap=True, overflow="ellipsis"))
        grid.add_row(*cells)
    for column in grid.columns:
        column.no_wrap = column.header not in ("CALLER", "CIRCUIT", "STATE", "LAST ERROR")
    return grid


def _failing(one: Row) -> bool:
    from .estate import number

    return (number(one, "error_rate") or 0.0) >= 0.005


def _error(one: Row) -> str:
    """The last error, where it is news: not if it was long ago and all is well."""
    from .estate import text
    from .screen import safe

    return safe(text(one, "last_error"), 80) if _failing(one) or one.get("state") != "closed" else ""


def _name(one: Row) -> str:
    from .estate import text
    from .screen import safe

    name, target = text(one, "name"), text(one, "target")
    return safe(f"{name} ({target})" if target and target not in name else name)


def _more(one: Row) -> str:
    """How many processes are in that state, and when the next trial is."""
    from .estate import number
    from .screen import ago

    on, of, retry = number(one, "on"), number(one, "of"), number(one, "retry_in")
    parts = []
    if on is not None and of is not None and on < of:
        parts.append(f"{on:.0f} of {of:.0f}")
    if retry is not None and one.get("state") == "open":
        parts.append(f"trial in {ago(retry)}")
    if one.get("processes") == 0:
        parts.append("silent")
    return ", ".join(parts)


def _running(one: Row) -> str:
    from .estate import number

    running, limit = number(one, "in_flight") or 0, number(one, "limit")
    return f"{running:.0f}" if limit is None else f"{running:.0f} of {limit:.0f}"
