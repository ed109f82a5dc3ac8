"""What `resilient doctor` looks at on this machine: the installation and the settings."""

from __future__ import annotations

import difflib
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import NamedTuple

from ..circuits.policy import TEXT_OPTIONS, CircuitPolicy
from ..errors import ConfigError
from ..settings import PREFIX, Settings, variable
from .modules import OURS, home, shadow
from .parser import source_name

DISTRIBUTION = "resilient-sidecar"
#: What the registry program reads, after RESILIENT_REGISTRY_.
REGISTRY_VARIABLES = (
    "HOST",
    "PORT",
    "TOKEN",
    "READ_TOKEN",
    "ZONE",
    "PEERS",
    "PEER_WAIT",
    "DELTA",
    "RATE_LIMIT",
    "SELF_PRESERVATION",
    "STRICT_EUREKA",
    "SNAPSHOT",
    "MAX_INSTANCES",
    "MDNS",
)
#: Ours, but no setting of a service.
DEBUG = "RESILIENT_DEBUG"

_REINSTALL = f"run: pip install --force-reinstall {DISTRIBUTION}"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)")


class Check(NamedTuple):
    """One thing that was looked at. ``level`` is ``ok``, ``note`` or ``problem``; a problem has a cure."""

    name: str
    level: str
    text: str
    cure: str = ""


# ---------------------------------------------------------------------- the installation


def installation() -> Iterator[Check]:
    """Python, the packages, whose modules are found."""
    yield _python()
    yield _packages()
    yield _aiohttp()
    yield _modules()
    try:
        yield Check("uvloop", "ok", version("uvloop"))
    except PackageNotFoundError:
        yield Check("uvloop", "note", "not installed: a registry takes about twice the heartbeats with it")


def _python() -> Check:
    about = f"{platform.python_version()}, {platform.python_implementation()} on {platform.system()}"
    if sys.platform != "linux":
        return Check("Python", "note", f"{about}; only Linux is tested")
    return Check("Python", "ok", about)


def _packages() -> Check:
    try:
        own = version(DISTRIBUTION)
        needs = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return Check("packages", "problem", f"{DISTRIBUTION} itself is not installed", _REINSTALL)
    said, wrong = [f"{DISTRIBUTION} {own}"], []
    for need in needs:
        match = _REQUIREMENT.match(need)
        if match is None or "extra ==" in need:
            continue
        name, least = match.groups()
        try:
            there = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name}>={least}")
            said.append(f"{name} is missing")
            continue
        said.append(f"{name} {there}")
        if numbers(there) < numbers(least):
            wrong.append(f"{name}>={least}")
    if wrong:
        quoted = " ".join(f"'{one}'" for one in wrong)
        return Check("packages", "problem", ", ".join(said), f"run: pip install {quoted}")
    return Check("packages", "ok", ", ".join(said))


def numbers(text: str) -> tuple[int, ...]:
    """A version's leading numbers, for comparing: ``3.14.1rc2`` is (3, 14, 1)."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(map(int, match.group().split("."))) if match else ()


def _aiohttp() -> Check:
    try:
        from aiohttp import __version__, http_parser
    except ImportError as error:
        return Check(
            "aiohttp", "problem", f"cannot be imported: {error}", "run: pip install 'aiohttp>=3.14.1'"
        )
    if http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy:
        return Check("aiohttp", "ok", f"{__version__}, with its compiled parser")
    cure = "run: pip install --force-reinstall --only-binary :all: aiohttp"
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        cure = "unset AIOHTTP_NO_EXTENSIONS"
    return Check(
        "aiohttp", "problem", f"{__version__}, but without its compiled parser: several times slower", cure
    )


def _modules() -> Check:
    strangers = [line for line in map(shadow, OURS) if line]
    if strangers:
        problem, _, cure = strangers[0].partition("; ")
        return Check("modules", "problem", problem, cure)
    return Check("modules", "ok", f"{', '.join(OURS)} from {home()}")


# ---------------------------------------------------------------------- the settings


def settings(environ: Mapping[str, str], given: Mapping[str, object]) -> tuple[Settings, list[Check]]:
    """Settings of all that makes sense, and what does not. Never raises."""
    checks: list[Check] = []
    good = dict(environ)
    # One by one first: a wrong value must not hide another one.
    for name in _readable():
        one = {key: text for key, text in environ.items() if key == name}
        if one:
            try:
                Settings.load({**one, **_patient(name)})
            except ConfigError as error:
                checks.append(_wrong(name, error))
                del good[name]
    right = dict(given)
    for name, value in given.items():
        try:
            Settings.load({}, **{name: value})
        except ConfigError as error:
            checks.append(_wrong(f"--{name}", error))
            del right[name]
    try:
        loaded = Settings.load(good, **right)
    except ConfigError as error:
        # Only these two can be wrong together.
        checks.append(_wrong("settings", error))
        for name in ("renew_every", "expire_after"):
            good.pop(variable(name), None)
        loaded = Settings.load(good, **right)
    checks.extend(_unknown(loaded, environ))
    checks.extend(circuit_variables(loaded.circuit_variables))
    if not checks:
        set_here = sum(row.source != "default" for row in loaded.rows())
        text = f"{set_here} set, all others at their defaults" if set_here else "all at their defaults"
        checks.append(Check("settings", "ok", text))
    return loaded, checks


def _readable() -> list[str]:
    """Every variable that names a setting."""
    names = [row.variable for row in Settings().rows()]
    return [*names, "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"]


def _patient(name: str) -> dict[str, str]:
    """What makes a heartbeat's interval alone no contradiction to the other's default."""
    if name == variable("renew_every"):
        return {variable("expire_after"): "86400"}
    return {variable("renew_every"): "1"} if name == variable("expire_after") else {}


def _wrong(name: str, error: ConfigError) -> Check:
    problem, _, cure = str(error).rpartition("; ")
    return Check(name, "problem", problem, cure)


def _unknown(loaded: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    for name, meant in loaded.unknown.items():
        if name != DEBUG:
            yield _nobody(name, meant)
    known = {PREFIX + "REGISTRY_" + one: one for one in REGISTRY_VARIABLES}
    for name in sorted(environ):
        if name.startswith(PREFIX + "REGISTRY_") and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            yield _nobody(name, near[0] if near else "")


def _nobody(name: str, meant: str) -> Check:
    cure = f"did you mean {meant}?" if meant else f"unset {name}; 'resilient doctor' lists what there is"
    return Check(name, "problem", "nobody reads this variable", cure)


def circuit_variables(found: Mapping[str, str]) -> Iterator[Check]:
    """Those of single circuits: is there such an option, and does the value make sense?"""
    options = {option.upper(): option for option in TEXT_OPTIONS}
    for name, value in sorted(found.items()):
        rest = name.removeprefix(PREFIX + "CIRCUIT_")
        ends = [end for end in options if rest.endswith("_" + end) and len(rest) > len(end) + 1]
        if not ends:
            yield Check(name, "problem", "names no option of a circuit", _circuit_cure(rest, options))
            continue
        end = max(ends, key=len)
        try:
            CircuitPolicy().override({options[end]: value}, source=name.removesuffix(end))
        except ConfigError as error:
            example = (
                "none"
                if getattr(CircuitPolicy(), options[end]) is None
                else getattr(CircuitPolicy(), options[end])
            )
            yield Check(name, "problem", str(error), f"the default is {name}={example}")


def _circuit_cure(rest: str, options: Iterable[str]) -> str:
    words = rest.split("_")
    tails = ["_".join(words[place:]) for place in range(1, len(words))]
    for tail in tails:
        if near := difflib.get_close_matches(tail, options, 1, 0.8):
            return f"did you mean {PREFIX}CIRCUIT_{rest.removesuffix(tail)}{near[0]}?"
    return f"write {PREFIX}CIRCUIT_<NAME>_<OPTION>; options: {', '.join(options)}"


def rows_of(loaded: Settings) -> list[dict[str, str]]:
    """Every setting for showing, with its source in the words of the command line."""
    rows = [(row.name, row.value, source_name(row.name, row.source), row.variable) for row in loaded.rows()]
    rows += [(name, value, "environment", name) for name, value in sorted(loaded.circuit_variables.items())]
    return [dict(zip(("name", "value", "source", "variable"), row, strict=True)) for row in rows]
