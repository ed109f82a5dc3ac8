"""One call through one circuit: ours, the floors and the others, interleaved."""

from __future__ import annotations

from . import floors, ours, peers
from .budgets import CALLS, RATIOS, check, compare, scale
from .measure import bare, over_bare, rounds
from .report import Section


async def run(short: bool) -> tuple[Section, float]:
    """The section, and how much slower this machine is than that of the budgets."""
    others, missing = peers.cases()
    cases = [*bare(), *floors.cases(), *ours.cases(), *others]
    for case in cases:
        if case.prove is not None:
            await case.prove()
    found = await rounds(cases, 21 if short else 101, 1000 if short else 2000)
    over = over_bare(cases, found)
    times = scale(over)
    section = Section("circuits", "One call, over the bare one", over)
    section.findings = check(CALLS, over, times) + compare(RATIOS, over)
    section.notes.append(f"bare awaited no-op {found['bare awaited no-op']:.0f} ns")
    if missing:
        section.notes.append(f"not installed, left out: {', '.join(missing)} (pip install --group bench)")
    return section, times


async def calibrate() -> float:
    """How much slower this machine is, measured with the floors alone."""
    cases = [*bare(), *floors.cases()]
    return scale(over_bare(cases, await rounds(cases, 21, 2000)))
