"""What was found, for people and as JSON."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from .budgets import HARD, Finding

_LOOKS = {"ok": "green", "over": "yellow", "fail": "bold red"}


@dataclass(slots=True)
class Section:
    """One part of the bench: everything measured, and the budgets among it."""

    name: str
    title: str
    measured: dict[str, float]
    unit: str = "ns"
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def worst(self) -> str:
        """The worst verdict in here."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((word for word in ("fail", "over") if word in verdicts), "ok")


def machine(times: float, loop: str) -> dict[str, Any]:
    """Where and how it was measured."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "loop": loop,
        "times_slower": round(times, 3),
    }


def as_json(sections: list[Section], where: dict[str, Any]) -> dict[str, Any]:
    """Everything, in plain numbers."""
    return {
        "machine": where,
        "hard_limit": HARD,
        "sections": {
            s.name: {
                "title": s.title,
                "unit": s.unit,
                "measured": {name: round(value, 1) for name, value in s.measured.items()},
                "budgets": [
                    {
                        "name": f.name,
                        "unit": f.unit,
                        "budget": round(f.budget, 4),
                        "allowed_here": round(f.allowed, 4),
                        "measured": round(f.measured, 4),
                        "verdict": f.verdict,
                    }
                    for f in s.findings
                ],
                "notes": s.notes,
            }
            for s in sections
        },
        "verdict": next((v for v in ("fail", "over") if v in {s.worst() for s in sections}), "ok"),
    }


def show(sections: list[Section], where: dict[str, Any], console: Console | None = None) -> None:
    """Tables on the terminal."""
    console = console or Console(width=None if sys.stdout.isatty() else 110)
    console.print(
        f"{where['implementation']} {where['python']}, {where['cores']} cores, {where['loop']}; "
        f"{where['times_slower']:.2f} times as slow as the machine of the budgets. "
        "Lower quartiles of interleaved rounds."
    )
    for section in sections:
        _measured(console, section)
        _budgets(console, section)
        for note in section.notes:
            console.print(f"  {note}", style="dim")


def _measured(console: Console, section: Section) -> None:
    table = Table(title=section.title, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column(section.unit, justify="right")
    for name, value in section.measured.items():
        table.add_row(name, f"{value:,.0f}")
    console.print(table)


def _budgets(console: Console, section: Section) -> None:
    if not section.findings:
        return
    table = Table(title="Budgets", title_justify="left")
    for head in ("", "budget", "here", "measured"):
        table.add_column(head, justify="right" if head else "left")
    table.add_column("")
    for finding in section.findings:
        words = [_number(v, finding.unit) for v in (finding.budget, finding.allowed, finding.measured)]
        look = _LOOKS[finding.verdict]
        table.add_row(finding.name, *words, f"[{look}]{finding.verdict}[/]")
    console.print(table)


def _number(value: float, unit: str) -> str:
    if unit == "times":
        return f"{value:.2f} x"
    if unit == "bytes":
        return f"{value / 1024:.1f} KiB"
    return f"{value:,.0f} ns"
