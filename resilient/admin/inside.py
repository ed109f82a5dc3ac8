"""The pages about what is inside the process: settings, loggers, threads, tasks, what looks wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from ..background import shared
from . import stacks
from .asked import Ask, Block, Facts, Lines, Link, Page, Refused, Table, Words
from .desk import Desk
from .lint import Scene, Seen, run
from .words import curl, more, tone


def settings(desk: Desk, ask: Ask) -> Page:
    """Every setting with its source; secrets are not among the values."""
    rows = [row._asdict() for row in desk.rows()]
    unknown = dict(desk.unknown)
    data = {"settings": rows, "unknown": unknown}
    table = Table(
        ("setting", "value", "source", "variable"),
        [(row["name"], row["value"], row["source"], row["variable"]) for row in rows],
    )
    blocks: list[Block] = [table]
    if unknown:
        meant = [(name, other or "–") for name, other in unknown.items()]
        blocks.append(Table(("variable", "probably meant"), meant, "read by nobody"))
    return Page("Settings", data, blocks)


def loggers(desk: Desk, ask: Ask) -> Page:
    """All loggers with their levels."""
    offset, limit = ask.page()
    every = desk.levels.rows()
    shown = every[offset : offset + limit]
    rows = [
        (Link(one["name"], f"/admin/loggers/{quote(one['name'], safe='')}"), one["level"], one["effective"])
        for one in shown
    ]
    table = Table(("logger", "own level", "level"), rows, more=more(len(every), offset, len(shown)))
    return Page("Loggers", {"loggers": shown, "total": len(every), "offset": offset}, [table])


def logger(desk: Desk, ask: Ask) -> Page:
    """One logger."""
    for one in desk.levels.rows():
        if one["name"] == ask.rest:
            how = curl(ask, f"/admin/loggers/{quote(ask.rest, safe='')}", '{"level": "DEBUG", "ttl": 600}')
            return Page(ask.rest, one, [Facts(list(one.items())), Lines(how, "to turn it")])
    raise Refused(404, "no-such-logger", "there is no logger of that name")


# ------------------------------------------------------------------ inside


def threads(desk: Desk, ask: Ask) -> Page:
    """Where each thread is."""
    offset, limit = ask.page()
    every = stacks.threads()
    shown = every[offset : offset + limit]
    parts = [
        Lines("\n".join(reversed(one["stack"])), f"{one['name']}{' (waits)' if one['idle'] else ''}")
        for one in shown
    ]
    data = {"threads": shown, "total": len(every), "offset": offset}
    return Page("Threads", data, parts, plain=True)


def tasks(desk: Desk, ask: Ask) -> Page:
    """What each task of the watched loops waits for."""
    offset, limit = ask.page()
    every = stacks.tasks(_loops(desk))
    shown = every[offset : offset + limit]
    data = {"tasks": shown, "total": len(every), "offset": offset}
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in shown:
        alike.setdefault((one["loop"], one["state"], *one["circuits"], *one["stack"]), []).append(one)
    blocks: list[Block] = [Lines("\n".join(found[0]["stack"]), _alike(found)) for found in alike.values()]
    rest = more(len(every), offset, len(shown))
    return Page("Tasks", data, [*blocks, *([Words(rest)] if rest else [])], plain=True)


def _alike(found: Sequence[dict[str, Any]]) -> str:
    """What stands above tasks that are at the same place."""
    first = found[0]
    names = ", ".join(one["name"] for one in found[:3]) + (" …" if len(found) > 3 else "")
    count = f"{len(found)} × " if len(found) > 1 else ""
    circuits = f"; through {', '.join(first['circuits'])}" if first["circuits"] else ""
    return f"{count}{names} ({first['state']} on {first['loop']}{circuits})"


def _loops(desk: Desk) -> Sequence[tuple[str, asyncio.AbstractEventLoop]]:
    found: dict[int, tuple[str, asyncio.AbstractEventLoop]] = {}
    for watch in desk.loops:
        if (loop := watch.loop) is not None:
            found[id(loop)] = (watch.name, loop)
    background = shared()
    if background.running:
        found.setdefault(id(background.loop), ("resilient", background.loop))
    try:
        here = asyncio.get_running_loop()
        found.setdefault(id(here), ("admin", here))
    except RuntimeError:
        pass
    return list(found.values())


def lint(desk: Desk, ask: Ask) -> Page:
    """What looks wrong, and the cure. ``?skip=PX007,PX009`` leaves rules out."""
    data = run(scene(desk), [one.strip().upper() for one in ask.query.get("skip", "").split(",")])
    results = data["lint_results"]
    count = results["metadata"]["num_issues_found"]
    blocks: list[Block] = [
        Words(
            f"{count} issue{'s' if count != 1 else ''}" if count else "Nothing looks wrong.",
            "" if count else "good",
        )
    ]
    for one in results["failed_rules"]:
        rows = [(tone(one["severity"]), issue) for issue in one["issues"]]
        title = f"{one['id']} {one['name']}"
        blocks.append(Table(("severity", "issue"), rows, title, f"Cure: {one['fix']}"))
    return Page("Lint", data, blocks)


def scene(desk: Desk, circuits: Sequence[Seen] | None = None) -> Scene:
    """All that the rules look at, as it is now. ``circuits`` are those that were looked at already."""
    runtime = desk.runtime
    report = runtime.balancer.report()["services"]
    listed = {}
    for name in report:
        listed[name] = runtime.directory.instances(name) or tuple(runtime.instances(name))
    own = runtime.settings
    return Scene(
        circuits=[Seen(one.snapshot(), one.policy) for one in runtime.circuits]
        if circuits is None
        else circuits,
        services=report,
        listed=listed,
        discovery=desk.discovery(),
        fetch_interval=own.fetch_interval,
        credentials=any(one.authorization for one in own.registry) or bool(own.token),
        lags={one.name: one.stalls.quantile(0.99) for one in desk.loops},
        exposed=list(desk.exposed),
        open_to=desk.open_to,
        unknown=desk.unknown,
    )
