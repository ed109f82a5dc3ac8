"""Did the demo do what it shows? Numbers, and one word."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
from rich.console import Console

from .load import Load
from .shop import COPIES
from .watch import Watch

#: Requests a second that must have been answered.
LEAST_RATE = 20.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a run. ``served`` counts the requests each running copy has served."""

    seconds: float
    outcomes: Counter[str]
    served: dict[str, int]
    idle: list[str]
    turned: list[str]
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether everything that was to be shown was seen."""
        return not self.problems

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return (self.outcomes["whole"] + self.outcomes["fallback"]) / max(self.seconds, 0.001)

    def as_dict(self) -> dict[str, object]:
        """For scripts."""
        return {
            "good": self.good,
            "seconds": round(self.seconds, 1),
            "rate": round(self.rate, 1),
            "outcomes": dict(self.outcomes),
            "served": self.served,
            "turned": self.turned,
            "problems": self.problems,
        }

    def show(self, console: Console) -> None:
        """For people."""
        errors = sum(n for name, n in self.outcomes.items() if name not in ("whole", "fallback"))
        console.print(
            f"\n{self.outcomes['whole']} answers, {self.outcomes['fallback']} with a fallback, "
            f"{errors} errors in {self.seconds:.0f} s: {self.rate:.1f} a second; "
            f"{len(self.served)} copies served",
            soft_wrap=True,
        )
        for name, n in sorted(self.outcomes.items()):
            if name not in ("whole", "fallback"):
                console.print(f"  {n} x {name}")
        if self.turned:
            console.print(f"Circuits that opened and closed again: {', '.join(self.turned)}")
        for problem in self.problems:
            console.print(f"[red]{problem}[/red]")


async def judge(load: Load, watch: Watch, session: aiohttp.ClientSession, *, chaos: bool) -> Verdict:
    """Ask every copy what it served, and weigh it."""
    seconds = time.monotonic() - load.began
    await watch.look()
    served: dict[str, int] = {}
    idle = []
    for service in COPIES:
        urls = watch.urls(service)
        answers = await asyncio.gather(*(_served(session, url) for url in urls))
        for url, n in zip(urls, answers, strict=True):
            if n is None:
                continue  # listed, but dead: chaos has killed it, or it is just leaving
            served[f"{service} {url}"] = n
            if n == 0:
                idle.append(f"{service} {url}")
    turned = sorted(watch.ever)
    verdict = Verdict(seconds, load.outcomes, served, idle, turned)
    if verdict.rate < LEAST_RATE:
        verdict.problems.append(f"only {verdict.rate:.1f} requests a second were answered")
    verdict.problems.extend(f"{name} served nothing" for name in idle)
    missing = [name for name in COPIES if not watch.urls(name)]
    verdict.problems.extend(f"no copy of {name} is up" for name in missing)
    if chaos and not turned:
        verdict.problems.append("no circuit opened and closed again")
    return verdict


async def _served(session: aiohttp.ClientSession, url: str) -> int | None:
    try:
        limit = aiohttp.ClientTimeout(total=3)
        async with session.post(f"{url}/demo/mood", json={}, timeout=limit) as response:
            return int((await response.json())["served"])
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
        return None
