"""``resilient status NAME ID up|out-of-service``: an operator's word about one copy."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .parser import common, settings_of

if TYPE_CHECKING:
    from ..model import Status
    from ..settings import Settings
    from .parser import Parsers

_WORDS = {"up": "UP", "out-of-service": "OUT_OF_SERVICE"}


def add(parsers: Parsers) -> None:
    """Add ``status``."""
    about = "Take a copy out of service, or back in: callers stop choosing it, the process itself goes on."
    parser = parsers.add_parser("status", help=about, description=about)
    parser.add_argument("name", metavar="NAME", help="the service")
    parser.add_argument("id", metavar="ID", help="the copy, as 'resilient instances NAME' shows it")
    parser.add_argument("status", choices=[*_WORDS], help="up takes the operator's word back")
    common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Set or take back one override."""
    from ..model import Status
    from . import estate
    from .screen import STATUSES, Screen, safe, show_json

    settings = settings_of(args)
    status = Status(_WORDS[args.status])
    name = args.name.lower()
    found, url = estate.run(_tell(settings, name, args.id, status))
    if not found:
        print(
            f"resilient: no instance '{safe(args.id)}' of '{safe(name)}' at {url}; "
            f"'resilient instances {safe(name)}' lists them",
            file=sys.stderr,
        )
        return 1
    if args.json:
        show_json({"service": name, "id": args.id, "status": status.value, "registry": url})
        return 0
    screen = Screen()
    from rich.text import Text

    screen.show(Text.assemble(f"{safe(name)} {safe(args.id)} is ", screen.state(STATUSES, status.value)))
    return 0


async def _tell(settings: Settings, name: str, id: str, status: Status) -> tuple[bool, str]:
    from .estate import Estate

    async with await Estate.find(settings) as there:
        return await there.set_status(name, id, status), there.url
