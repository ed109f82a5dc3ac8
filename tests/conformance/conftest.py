"""Options, servers and the summary of the conformance suite; ``docs/conformance.md`` says how to run it."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from process_kit import registry

from registry_server.app import running

HERE = Path(__file__).parent
# What other rooms' tests use to talk to a registry, to play one, and to play a service.
for room in ("registry", "discovery", "doors"):
    sys.path.append(str(HERE.parent / room))

from conformance_kit import KINDS, LEVELS, NUMBER, Server, alone, connected, level_of  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "Eureka conformance")
    group.addoption(
        "--profile",
        choices=("ours", "ref"),
        default="ours",
        help="whose behaviour is expected where they differ",
    )
    group.addoption("--base-url", default="", help="a running server: http://host:port/eureka")
    group.addoption("--slow", action="store_true", help="also what needs minutes of real time")


def pytest_configure(config: pytest.Config) -> None:
    levels = ", ".join(LEVELS)
    config.addinivalue_line("markers", f"wire(level): a conformance case over HTTP; level is one of {levels}")
    config.addinivalue_line("markers", "clock(level): a conformance case that needs time to pass")
    config.addinivalue_line("markers", "client(level): a conformance case about our own client")
    config.addinivalue_line("markers", "instead(reason): our own rule is tested, the case's cannot be")
    if config.getoption("profile", "ours") == "ref" and not config.getoption("base_url", ""):
        raise pytest.UsageError("--profile ref judges another server: say which with --base-url")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    elsewhere = bool(config.getoption("base_url", ""))
    for item in items:
        found = NUMBER.match(item.name)
        if item.path.parent != HERE or found is None:
            continue
        kind, level = level_of(item)
        item.user_properties.append(("conformance", (int(found[1]), level, "instead" in item.keywords)))
        names: list[str] = getattr(item, "fixturenames", [])
        if elsewhere and kind == "client":
            item.add_marker(pytest.mark.skip(reason="about our own client"))
        elif elsewhere and kind == "clock" and "slowly" not in names:
            item.add_marker(pytest.mark.skip(reason="needs a clock of its own"))


@pytest.fixture(scope="session")
def profile(pytestconfig: pytest.Config) -> str:
    """``ours`` or ``ref``."""
    return str(pytestconfig.getoption("profile", "ours"))


@pytest.fixture
def slowly(pytestconfig: pytest.Config) -> None:
    """For what waits in real time."""
    if not pytestconfig.getoption("slow", False):
        pytest.skip("takes minutes; run with --slow")


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The base URL under test: the one given, else that of a registry process of our own."""
    given = str(pytestconfig.getoption("base_url", ""))
    if given:
        yield given
        return
    with registry() as running:
        yield running.url


@pytest.fixture
async def server(server_url: str) -> AsyncIterator[Server]:
    """The server under test, with an application name that nobody else uses. Nothing stays behind."""
    async with connected(server_url) as server:
        yield server


@pytest.fixture
async def fresh(pytestconfig: pytest.Config) -> AsyncIterator[Server]:
    """The server given, else one of this case's own: for what would slow down the reads of all others."""
    if given := str(pytestconfig.getoption("base_url", "")):
        async with connected(given) as server:
            yield server
        return
    async with running(alone()) as own, connected(own.url) as server:
        yield server


@pytest.fixture
async def here(server: Server) -> Server:
    """The same, with ``i1`` registered: UP, stamp 1000, lease 30/90."""
    await server.register()
    return server


@pytest.fixture
def private(pytestconfig: pytest.Config) -> None:
    """For cases that need an empty registry, or one with other settings."""
    if pytestconfig.getoption("base_url", ""):
        pytest.skip("needs a registry of its own")


# -- the summary ----------------------------------------------------------------------------------

_RANK = ("passed", "skipped", "xfailed", "failed")
_OUTCOMES = {"passed": "passed", "xpassed": "passed", "skipped": "skipped", "xfailed": "xfailed"}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    cases: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    replaced: set[tuple[str, int]] = set()
    for category, reports in terminalreporter.stats.items():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "conformance" and category in (*_OUTCOMES, "failed", "error"):
                    number, level, instead = value
                    cases[level][number].add(_OUTCOMES.get(category, "failed"))
                    if instead:
                        replaced.add((level, number))
    if not cases:
        return
    where = config.getoption("base_url", "") or "a registry of its own"
    terminalreporter.write_sep("-", f"conformance, profile {config.getoption('profile', 'ours')}, {where}")
    for level in LEVELS:
        if level in cases:
            terminalreporter.write_line(_line(level, cases[level], {n for at, n in replaced if at == level}))


def _line(level: str, cases: dict[int, set[str]], replaced: set[int]) -> str:
    """``[M] 62 of 62``, and what became of the others. A case has passed if no part of it failed."""
    verdicts: dict[str, list[int]] = defaultdict(list)
    for number, outcomes in sorted(cases.items()):
        bad = [one for one in ("failed", "xfailed") if one in outcomes]
        verdicts[bad[0] if bad else "passed" if "passed" in outcomes else "skipped"].append(number)
    words = [f"[{LEVELS[level]}] {len(verdicts['passed'])} of {len(cases)}"]
    if by_us := sorted(replaced & set(verdicts["passed"])):
        words.append(f"by a rule of our own: {_numbers(by_us)}")
    others = [one for one in ("failed", "xfailed", "skipped") if verdicts[one]]
    words += [f"{verdict}: {_numbers(verdicts[verdict])}" for verdict in others]
    return "; ".join(words)


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


assert set(KINDS) == {"wire", "clock", "client"}
