"""The ``resilient`` command; each program brings its own part.

Only the part that was asked for is loaded, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError, ResilientError

if TYPE_CHECKING:
    import argparse

    Add = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]


class _Command(NamedTuple):
    place: str  # module and function that adds it to the parser; "" for an entry point
    usage: str
    about: str


_COMMANDS: Mapping[str, _Command] = {
    "demo": _Command(
        "resilient.demo.run:add", "demo [--chaos]", "everything in one terminal, with a live page"
    ),
    "registry": _Command("", "registry", "run the service registry"),
    "dashboard": _Command("", "dashboard", "its web pages, from a process of their own"),
    "services": _Command(
        "resilient.cli.lists:add_services", "services", "the services and how many copies are up"
    ),
    "instances": _Command("resilient.cli.lists:add_instances", "instances NAME", "the copies of one service"),
    "circuits": _Command("resilient.cli.circuits:add", "circuits [--watch]", "the circuits of all callers"),
    "status": _Command(
        "resilient.cli.status:add",
        "status NAME ID up|out-of-service",
        "take a copy out of service, or back in",
    ),
    "doctor": _Command("resilient.cli.doctor:add", "doctor", "what is set, by whom, and what is wrong"),
}

#: Options that may stand before the command, too, and whether a value follows.
_COMMON = {"--registry": True, "--token": True, "--json": False}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0 when it worked, 1 when it did not, 2 when it was asked wrongly."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows its number: better than an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments)
        sys.stdout.flush()  # here, where a reader that has gone is no surprise
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone: say nothing more
        return 0
    except ConfigError as error:
        return _fail(error, 2)
    except ResilientError as error:
        return _fail(error, 1)
    except Exception as error:
        if os.environ.get("RESILIENT_DEBUG"):
            raise
        return _fail(f"unexpected {type(error).__name__}: {error}; RESILIENT_DEBUG=1 shows where", 1)


def _run(arguments: list[str]) -> int:
    name, arguments = _command_in(arguments)
    if name in ("", "-h", "--help", "help"):
        print(_overview())
        return 0
    if name in ("-V", "--version"):
        print(f"resilient {version()}")
        return 0
    commands = _known()
    if name not in commands:
        import difflib

        what = "option" if name.startswith("-") else "command"
        near = difflib.get_close_matches(name, commands, 1)
        raise ConfigError(
            f"no {what} {name!r}; " + (f"did you mean {near[0]!r}?" if near else "see 'resilient --help'")
        )
    from .parser import Parser

    parser: argparse.ArgumentParser = Parser(prog="resilient")
    parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    _load(name)(parsers)
    try:
        args = parser.parse_args([name, *arguments])
    except SystemExit as end:  # help, or a mistake that was already explained
        return end.code if isinstance(end.code, int) else 0
    code: int = args.run(args)
    return code


def _command_in(arguments: list[str]) -> tuple[str, list[str]]:
    """The command, and all else with the options before it put behind it."""
    place = 0
    while place < len(arguments):
        option, equals, _ = arguments[place].partition("=")
        if option not in _COMMON:
            break
        place += 2 if _COMMON[option] and not equals else 1
    name = arguments[place] if place < len(arguments) else ""
    return name, [*arguments[:place], *arguments[place + 1 :]]


def _known() -> list[str]:
    from importlib.metadata import entry_points

    return [*_COMMANDS, *(point.name for point in entry_points(group="resilient.commands"))]


def _load(name: str) -> Add:
    if name in ("registry", "dashboard", "demo"):
        from .modules import shadow

        for module in ("registry_server", "dashboard"):
            if stranger := shadow(module):
                raise ConfigError(stranger)
    place = _COMMANDS[name].place if name in _COMMANDS else ""
    if place:
        module, _, attribute = place.partition(":")
        found: Add = getattr(import_module(module), attribute)
        return found
    from importlib.metadata import entry_points

    points = [point for point in entry_points(group="resilient.commands") if point.name == name]
    if not points:
        raise ConfigError(
            f"'resilient {name}' is not installed; run: pip install --force-reinstall resilient-sidecar"
        )
    loaded: Add = points[0].load()
    return loaded


def version() -> str:
    """The installed version, or ``0`` in a tree that was never installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("resilient-sidecar")
    except PackageNotFoundError:
        return "0"


def _overview() -> str:
    wide = max(len(one.usage) for one in _COMMANDS.values())
    lines = "\n".join(f"  resilient {one.usage:<{wide}}  {one.about}" for one in _COMMANDS.values())
    lines += "".join(f"\n  resilient {name}" for name in _known() if name not in _COMMANDS)
    return f"""\
resilient {version()}: service registry, circuit breakers and client-side load balancing.

{lines}

New here?         resilient demo
Something wrong?  resilient doctor

Each command has --help; those that show something have --json, --registry URL and --token.
Services need only the registry's URL: RESILIENT_REGISTRY, else this machine's own, else mDNS."""


def _fail(reason: object, code: int) -> int:
    from .screen import safe

    for line in str(reason).splitlines() or [""]:
        print(f"resilient: {safe(line, 2000)}" if not line.startswith("  ") else safe(line), file=sys.stderr)
    return code
