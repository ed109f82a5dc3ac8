"""Conditions that deserve a banner, from what a registry says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .source import Row


def notices(node: Mapping[str, Any], beats: Mapping[str, Any], late: Mapping[str, int]) -> dict[str, Row]:
    """All that hold now, by id. ``late``: late instances by zone. Without the moment they began."""
    found: dict[str, Row] = {}
    counts = node.get("counts") or {}
    if node.get("mode") == "preserving":
        found["protection"] = _one(
            "warn",
            {
                "beats": beats.get("min"),
                "want": beats.get("want"),
                "limit": beats.get("limit"),
                "kept": counts.get("late", 0),
                "total": counts.get("instances", 0),
                "zones": sorted(late, key=lambda zone: -late[zone])[:5],
                "reason": node.get("reason", ""),
                "forS": node.get("preserving_for"),
            },
        )
    protection = node.get("protection") or {}
    if protection.get("enabled") is False:
        found["protection_off"] = _one(
            "bad" if protection.get("suspicious") else "warn", {"late": counts.get("late", 0)}
        )
    if node.get("ready") is False:
        found["not_ready"] = _one("warn", {"opensInS": node.get("opens_in")})
    for peer in node.get("peers") or ():
        name = str(peer.get("url") or "")
        if not peer.get("well", True):
            found[f"peer:{name}"] = _one("bad", {"peer": name, "problem": str(peer.get("problem") or "")})
        skew = peer.get("skew")
        if isinstance(skew, (int, float)) and abs(skew) > 2.0:
            found[f"clock:{name}"] = _one("warn", {"peer": name, "skewS": round(skew, 1)})
    snapshot = node.get("snapshot") or {}
    if snapshot.get("problem"):
        found["snapshot"] = _one("warn", {"problem": str(snapshot["problem"])})
    if node.get("trouble"):
        found["source"] = _one("bad", {"problem": str(node["trouble"])})
    return found


def _one(level: str, data: Row) -> Row:
    return {"level": level, "on": True, "data": data}


class Notices:
    """The notices as they were last sent."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def all(self) -> list[Row]:
        """Those that are on."""
        return list(self._rows.values())

    def turn(self, found: Mapping[str, Row], now: int) -> list[Row]:
        """Take in how it is now (``now`` in ms); returns what to send. Numbers that move are sent, too."""
        told: list[Row] = []
        after: dict[str, Row] = {}
        for id, one in found.items():
            before = self._rows.get(id)
            row = {"id": id, **one, "at": before["at"] if before else now}
            if before is None or _rough(before) != _rough(row):
                told.append(row)
                after[id] = row
            else:
                after[id] = before
        told += [{**row, "on": False} for id, row in self._rows.items() if id not in after]
        self._rows = after
        return told


def _rough(row: Row) -> Row:
    """Without what only grows with time."""
    return {
        **row,
        "data": {name: one for name, one in row["data"].items() if name not in ("forS", "opensInS")},
    }
