"""An instance as a tree of dicts in Eureka's words, both ways.

The tree is what JSON carries; `xml` spells the same tree in elements. Members and their order are
Eureka's exactly: strict clients refuse any other member, and none of them is ever null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..model import Action, Instance, Status
from .limits import whole
from .reading import (
    MY_OWN,
    SECURE_PORT,
    URLS,
    VIPS,
    action_of,
    data_centre,
    instance_of,
    port_pair,
    zone_of,
)

__all__ = [
    "Standing",
    "action_of",
    "instance_of",
    "ports",
    "registration",
    "standing_of",
    "tree",
    "vip_names",
    "vips",
]

# Eureka's marker for a map without entries; clients of the JVM build their empty map from it.
EMPTY_MAP: Mapping[str, object] = {"@class": "java.util.Collections$EmptyMap"}
_COMPACT_AMAZON = ("instance-id", "public-ipv4", "public-hostname", "local-ipv4", "availability-zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a registry adds to an instance on the wire. Times are milliseconds since the epoch, 0 unset."""

    overridden: Status = Status.UNKNOWN
    registered_at: int = 0
    renewed_at: int = 0
    evicted_at: int = 0
    up_at: int = 0
    updated_at: int = 0
    action: Action = Action.ADDED
    coordinating: bool = False


def tree(instance: Instance, standing: Standing | None = None, *, compact: bool = False) -> dict[str, object]:
    """The instance in Eureka's words, ready for `json.write_instance` or `xml.write_instance`.

    Without a standing it holds what an instance says of itself. ``compact`` is Eureka's short form,
    for clients that ask for it. Parts of the tree are shared between instances: read it, never edit it.
    """
    extra = instance.extra
    plain, tls = ports(instance)
    centre = extra.get("dataCenterInfo", MY_OWN)
    written: dict[str, object] = {
        "instanceId": instance.id,
        "hostName": instance.host,
        "app": instance.service.upper(),
        "ipAddr": instance.address or instance.host,
    }
    if compact:
        written["status"] = instance.status.value
        written["port"] = plain
        written["securePort"] = tls
        written["dataCenterInfo"] = _shortened(centre)
        for name in VIPS:
            if name in extra:
                written[name] = extra[name]
        if standing is not None:
            written["lastUpdatedTimestamp"] = standing.updated_at
            written["actionType"] = standing.action.value
        if "asgName" in extra:
            written["asgName"] = extra["asgName"]
        return written

    if "sid" in extra:
        written["sid"] = extra["sid"]
    written["status"] = instance.status.value
    written["overriddenStatus"] = (
        extra.get("overriddenStatus", "UNKNOWN") if standing is None else standing.overridden.value
    )
    written["port"] = plain
    written["securePort"] = tls
    written["countryId"] = extra.get("countryId", 1)
    written["dataCenterInfo"] = centre
    lease = {
        # Whole seconds are all that Eureka knows, and 0 would mean its default.
        "renewalIntervalInSecs": max(1, int(instance.renew_every)),
        "durationInSecs": max(1, int(instance.expire_after)),
    }
    if standing is not None:
        lease["registrationTimestamp"] = standing.registered_at
        lease["lastRenewalTimestamp"] = standing.renewed_at
        lease["evictionTimestamp"] = standing.evicted_at
        lease["serviceUpTimestamp"] = standing.up_at
    written["leaseInfo"] = lease
    written["metadata"] = _metadata(instance, centre)
    if extra:
        for name in ("appGroupName", *URLS, *VIPS):
            if name in extra:
                written[name] = extra[name]
    coordinating = standing is not None and standing.coordinating
    written["isCoordinatingDiscoveryServer"] = "true" if coordinating else "false"
    if standing is not None:
        written["lastUpdatedTimestamp"] = str(standing.updated_at)
    if instance.dirty_at:
        written["lastDirtyTimestamp"] = str(instance.dirty_at)
    if standing is not None:
        written["actionType"] = standing.action.value
    if "asgName" in extra:
        written["asgName"] = extra["asgName"]
    return written


def registration(instance: Instance) -> dict[str, object]:
    """What a client posts to ``apps/{app}``: ``{"instance": {...}}``.

    An instance without virtual addresses gets its service's name as both, for that is how JVM clients
    look services up; one without a home page gets its own root.
    """
    written = tree(instance)
    for name in VIPS:
        written.setdefault(name, instance.service)
    written.setdefault("homePageUrl", instance.url + "/")
    return {"instance": written}


def standing_of(tree: Mapping[str, object]) -> Standing:
    """What a registry said beside the instance itself; unreadable parts are unset."""
    lease = tree.get("leaseInfo")
    times = lease if isinstance(lease, dict) else {}
    overridden = tree.get("overriddenStatus") or tree.get("overriddenstatus")
    known = isinstance(overridden, str) and overridden.upper() in Status.__members__
    return Standing(
        overridden=Status(str(overridden).upper()) if known else Status.UNKNOWN,
        registered_at=whole(times.get("registrationTimestamp")),
        renewed_at=whole(times.get("lastRenewalTimestamp")),
        evicted_at=whole(times.get("evictionTimestamp")),
        up_at=whole(times.get("serviceUpTimestamp")),
        updated_at=whole(tree.get("lastUpdatedTimestamp")),
        action=action_of(tree),
        coordinating=str(tree.get("isCoordinatingDiscoveryServer")).lower() == "true",
    )


def ports(instance: Instance) -> tuple[dict[str, object], dict[str, object]]:
    """The plain and the secure port in Eureka's spelling: ``{"$": 8080, "@enabled": "true"}``. Read only."""
    extra = instance.extra
    if not instance.secure:
        plain = extra.get("port")
        # Off as sent, if it still is the port that was sent.
        if not isinstance(plain, dict) or plain["$"] != instance.port:
            plain = port_pair(instance.port, True)
        tls = extra.get("securePort")
        return plain, tls if isinstance(tls, dict) else port_pair(SECURE_PORT, False)
    plain = extra.get("port")
    if not isinstance(plain, dict):
        # Some clients tell instances apart by host and plain port, so it repeats the secure one.
        plain = port_pair(instance.port, False)
    return plain, port_pair(instance.port, True)


def vips(instance: Instance) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The virtual addresses an instance answers to, plain and secure, spelled as they were sent."""
    plain, tls = (instance.extra.get(name) for name in VIPS)
    return vip_names(plain), vip_names(tls)


def vip_names(value: object) -> tuple[str, ...]:
    """The names in a list of virtual addresses, each once."""
    if not isinstance(value, str):
        return ()
    return tuple(dict.fromkeys(name for name in value.split(",") if name))


def _metadata(instance: Instance, centre: object) -> Mapping[str, object]:
    zone = instance.zone
    if zone != "default" and "zone" not in instance.metadata and zone_of(centre) != zone:
        # A zone given to the instance itself; Eureka has no other place for it.
        return {**instance.metadata, "zone": zone}
    return dict(instance.metadata) if instance.metadata else EMPTY_MAP


def _shortened(centre: object) -> object:
    told = centre.get("metadata") if isinstance(centre, dict) else None
    if not isinstance(told, dict):
        return centre
    return data_centre({key: told[key] for key in _COMPACT_AMAZON if key in told})
