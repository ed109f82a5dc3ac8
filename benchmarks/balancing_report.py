"""What ``python -m benchmarks.balancing`` found, for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Bound:
    """What was measured of ours, and what it may be at most."""

    scenario: str
    name: str
    measured: float
    most: float
    unit: str = "%"

    @property
    def kept(self) -> bool:
        """Whether it is within its bound."""
        return self.measured <= self.most


@dataclass(slots=True)
class Result:
    """One scenario: a row of figures for each contender, and the bounds."""

    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]
    bounds: list[Bound]


def as_json(results: list[Result]) -> dict[str, Any]:
    """Everything, in plain numbers."""
    return {
        "scenarios": [
            {
                "title": result.title,
                "contenders": {
                    name: dict(zip(result.columns, map(_finite, row), strict=True))
                    for name, row in result.rows.items()
                },
                "bounds": [
                    {
                        "name": bound.name,
                        "measured": _finite(bound.measured),
                        "most": round(bound.most, 4),
                        "unit": bound.unit,
                        "kept": bound.kept,
                    }
                    for bound in result.bounds
                ],
            }
            for result in results
        ],
        "kept": all(bound.kept for result in results for bound in result.bounds),
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if isfinite(value) else None  # JSON knows no infinity


def show(results: list[Result], console: Console) -> None:
    """Tables on the terminal."""
    for result in results:
        table = Table(title=result.title, title_justify="left", title_style="bold")
        table.add_column("")
        for head in result.columns:
            table.add_column(head, justify="right")
        for name, row in result.rows.items():
            table.add_row(
                name,
                *(f"{value:,.2f}" if isfinite(value) else "never" for value in row),
                style="bold" if name == "ours" else "",
            )
        console.print(table)
    table = Table(title="Bounds", title_justify="left", title_style="bold")
    for head in ("", "", "at most", "measured", ""):
        table.add_column(head, justify="right" if head else "left")
    for bound in (bound for result in results for bound in result.bounds):
        word = "[green]kept[/]" if bound.kept else "[bold red]broken[/]"
        table.add_row(
            bound.scenario, bound.name, words(bound.most, bound), words(bound.measured, bound), word
        )
    console.print(table)


def words(value: float, bound: Bound) -> str:
    """A figure with its unit."""
    return {"%": f"{value:.2f} %", "times": f"{value:.2f} x", "s": f"{value:.2f} s"}.get(
        bound.unit, f"{value:g}"
    )
