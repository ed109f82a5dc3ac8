"""What a starting registry makes of the lists its peers gave it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from resilient.model import Instance


def newest(lists: Iterable[Iterable[Instance]]) -> list[Instance]:
    """Every instance once, as its highest stamp describes it; of equal ones the first."""
    found: dict[tuple[str, str], Instance] = {}
    for instances in lists:
        for instance in instances:
            key = (instance.service, instance.id)
            known = found.get(key)
            if known is None or known.dirty_at < instance.dirty_at:
                found[key] = instance
    return list(found.values())
