"""``resilient services`` and ``resilient instances NAME``."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING

from .parser import common, settings_of, source_name

if TYPE_CHECKING:
    from ..settings import Settings
    from .estate import Estate, Row
    from .parser import Parsers
    from .screen import Screen


def add_services(parsers: Parsers) -> None:
    """Add ``services``."""
    about = "The services of the registry, and how many copies of each are up."
    parser = parsers.add_parser("services", help=about, description=about)
    common(parser)
    parser.set_defaults(run=services)


def add_instances(parsers: Parsers) -> None:
    """Add ``instances``."""
    about = "The copies of one service, each with its state."
    parser = parsers.add_parser("instances", help=about, description=about)
    parser.add_argument("name", metavar="NAME", help="the service")
    parser.add_argument(
        "--process", metavar="URL", help="ask this process instead: whom does its balancer choose, and why"
    )
    common(parser)
    parser.set_defaults(run=instances)


def services(args: argparse.Namespace) -> int:
    """Show all services."""
    from . import estate
    from .screen import Screen, show_json

    settings = settings_of(args)
    found, there, node = estate.run(_look(settings))
    if args.json:
        show_json(found)
        return 0
    show_services(Screen(), found, where(there, settings), estate.text(node, "reason"))
    return 0


def instances(args: argparse.Namespace) -> int:
    """Show one service's copies."""
    from . import estate
    from .screen import Screen, safe, show_json

    settings = settings_of(args)
    wanted = args.name.lower()
    if args.process is not None:
        return _seen_by(args.process, wanted, settings, as_json=args.json)
    found, there, _ = estate.run(_look(settings))
    names = [estate.text(one, "name") for one in found]
    if wanted not in names:
        near = difflib.get_close_matches(wanted, names, 1)
        hint = f"; did you mean '{safe(near[0])}'?" if near else "; 'resilient services' lists all"
        print(f"resilient: no service '{safe(args.name)}' at {there.url}{hint}", file=sys.stderr)
        return 1
    service = found[names.index(wanted)]
    if args.json:
        show_json(service)
    else:
        show_instances(Screen(), service)
    return 0


def _seen_by(url: str, wanted: str, settings: Settings, *, as_json: bool) -> int:
    from . import estate, process
    from .screen import Screen, safe, show_json

    report = estate.run(process.ask(url, settings))
    service = process.service_of(report, wanted)
    if service is None:
        called = ", ".join(safe(name, 64) for name in sorted(estate.table_of(report, "services"))[:10])
        print(
            f"resilient: that process has not called '{safe(wanted)}'; it has called {called or 'nobody'}",
            file=sys.stderr,
        )
        return 1
    if as_json:
        show_json(service)
    else:
        process.show(Screen(), wanted, service)
    return 0


async def _look(settings: Settings) -> tuple[list[Row], Estate, Row]:
    from .estate import Estate

    async with await Estate.find(settings) as there:
        found = await there.services()
        node = await there.tool("node") if there.ours else None
        return found, there, node if isinstance(node, dict) else {}


def where(there: Estate, settings: Settings) -> str:
    """Which registry was asked, and how it was found."""
    return f"{there.url} ({source_name('registry', there.located.source)})"


def show_services(screen: Screen, found: list[Row], where: str, warning: str = "") -> None:
    """A table of services; ``warning`` is what the registry says of itself."""
    from rich.text import Text

    from .estate import rows, text
    from .screen import STATUSES, count, safe, table

    if not found:
        screen.show(Text("No service is registered."))
    else:
        zones = {text(copy, "zone") for one in found for copy in rows(one.get("instances"))}
        zoned = zones - {"default", ""}
        grid = table("SERVICE", "COPIES>", "STATE", *(["ZONES"] if zoned else []))
        for one in found:
            copies = rows(one.get("instances"))
            states = [text(copy, "status") for copy in copies]
            words = Text()
            for state in [*STATUSES, *sorted(set(states) - set(STATUSES))]:
                if n := states.count(state):
                    words.append("   " if words else "").append_text(screen.state(STATUSES, state))
                    if n != len(states):
                        words.append(f" {n} of {len(states)}", "dim")
            cells = [Text(safe(text(one, "name"))), Text(str(len(copies))), words]
            if zoned:
                cells.append(Text(safe(", ".join(sorted({text(copy, "zone") for copy in copies})))))
            grid.add_row(*cells)
        screen.show(grid, "")
    total = sum(len(rows(one.get("instances"))) for one in found)
    summary = f"{count(len(found), 'service')}, {_copies(total)}{screen.dot}" if found else ""
    summary += safe(where)
    screen.show(Text(summary, "dim", overflow="ignore", no_wrap=True))
    if warning:
        screen.show(Text(f"The registry is preserving: {safe(warning)}", "yellow"))


def show_instances(screen: Screen, service: Row) -> None:
    """A table of one service's copies."""
    from rich.text import Text

    from .estate import number, rows, table_of, text
    from .screen import STATUSES, ago, safe, table

    copies = rows(service.get("instances"))
    metadata = any(table_of(one, "metadata") for one in copies)
    renewed = any(number(one, "renewed_ago") is not None for one in copies)
    grid = table("ID", "URL", "STATE", "ZONE", *(["HEARTBEAT>"] * renewed), *(["METADATA"] * metadata))
    for one in sorted(copies, key=lambda one: text(one, "id")):
        state = screen.state(STATUSES, text(one, "status"), _by_hand(one))
        cells = [
            Text(safe(text(one, "id"))),
            Text(safe(text(one, "url"))),
            state,
            Text(safe(text(one, "zone"))),
        ]
        if renewed:
            heard = number(one, "renewed_ago")
            late = one.get("late") is True
            shown = f"{ago(heard)} ago{', late' if late else ''}" if heard is not None else ""
            cells.append(Text(shown, "yellow" if late else ""))
        if metadata:
            pairs = (f"{key}={value}" for key, value in table_of(one, "metadata").items())
            cells.append(Text(safe(" ".join(pairs), 160), "dim"))
        grid.add_row(*cells)
    screen.show(grid, "", Text(f"{safe(text(service, 'name'))}: {_copies(len(copies))}", "dim"))


def _by_hand(one: Row) -> str:
    from .estate import text
    from .screen import safe

    if not text(one, "overridden"):
        return ""
    own = text(one, "own_status")
    itself = f", itself {safe(own, 32).lower().replace('_', ' ')}" if own else ""
    return f"by hand{itself}"


def _copies(n: int) -> str:
    return "1 copy" if n == 1 else f"{n} copies"
