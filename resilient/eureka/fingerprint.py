"""A directory in one short line, as Eureka's clients compute it to compare their copy with the server's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..model import Directory, Instance, Status


def apps_hash(counts: Mapping[Status, int]) -> str:
    """Eureka's ``apps__hashcode`` from the number of instances in each status: ``DOWN_1_UP_3_``.

    Count every instance a full fetch would list, in every status; an empty registry gives ``""``.
    """
    return "".join(f"{status}_{counts[status]}_" for status in sorted(counts) if counts[status])


def count(instances: Iterable[Instance]) -> Counter[Status]:
    """How many instances are in each status."""
    return Counter(instance.status for instance in instances)


def directory_hash(directory: Directory) -> str:
    """`apps_hash` over everything in a directory."""
    return apps_hash(count(one for members in directory.services.values() for one in members))
