"""Which status is in force: what the instance says, what an operator said, and what was before. Pure."""

from __future__ import annotations

from resilient.model import Instance, Status

_TRAFFIC = (Status.UP, Status.OUT_OF_SERVICE)


def status_of(said: Status, override: Status, held: Status | None, replication: bool = False) -> Status:
    """Eureka's rules in their order; the first that matches decides.

    ``said`` is what the instance reports, ``override`` an operator's word (UNKNOWN: none), ``held`` the
    status of the lease it already has. So nobody hides an instance's own DOWN, and an instance cannot
    take itself out of service, or back in, by registering again.
    """
    if said not in _TRAFFIC:
        return said
    if override is not Status.UNKNOWN:
        return override
    if not replication and held in _TRAFFIC:
        return held
    return said


def own_override(instance: Instance) -> Status:
    """The override a registration brings along; UNKNOWN if none."""
    said = instance.extra.get("overriddenStatus")
    return Status(said) if isinstance(said, str) and said in Status.__members__ else Status.UNKNOWN
