"""From Eureka's words to an instance: strict about registrations, lenient about what registries list."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from ..errors import WireError
from ..model import Action, Instance, Status
from .limits import (
    EMPTY,
    LIMITS,
    Limits,
    canonical_id,
    check_host,
    check_id,
    check_metadata,
    check_name,
    check_vips,
    good_url,
    integer,
    scalar,
    size,
    whole,
)

PLAIN_PORT = 7001
SECURE_PORT = 7002
RENEW_EVERY = 30
EXPIRE_AFTER = 90

URLS = ("homePageUrl", "statusPageUrl", "healthCheckUrl", "secureHealthCheckUrl")
VIPS = ("vipAddress", "secureVipAddress")

_DEFAULT_CENTRE = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
_AMAZON_CENTRE = "com.netflix.appinfo.AmazonInfo"
MY_OWN: Mapping[str, object] = {"@class": _DEFAULT_CENTRE, "name": "MyOwn"}
_NETFLIX: Mapping[str, object] = {"@class": _DEFAULT_CENTRE, "name": "Netflix"}

_STATUS = {status.value: status for status in Status}
_ACTION = {action.value: action for action in Action}
_NO_EXTRA: Mapping[str, object] = MappingProxyType({})


def instance_of(
    tree: Mapping[str, object], *, trusted: bool = False, now_ms: int = 0, limits: Limits = LIMITS
) -> Instance:
    """The instance in a tree of Eureka's words, as JSON spells them and `xml` translates them.

    By default the tree is a registration: every required field must be there, every limit is kept, and
    WireError names the field and the cure. ``trusted`` reads what a registry lists: odd values fall back
    to defaults, and WireError means only that there is nobody to call.

    ``now_ms`` is the receiver's time in milliseconds: it replaces an absent ``lastDirtyTimestamp`` and
    bounds one from the future; 0 leaves both as they are (absent is then 0).

    What `Instance` has no place for goes into ``extra`` in Eureka's spelling, where `fields.tree` finds
    it again. Absent, empty and default values are not kept, nor are links that are not http or https.
    """
    return _listed(tree) if trusted else _registered(tree, now_ms, limits)


def action_of(tree: Mapping[str, object]) -> Action:
    """What a delta says happened to the instance; ADDED where nothing is said."""
    said = tree.get("actionType")
    return _ACTION.get(said, Action.ADDED) if isinstance(said, str) else Action.ADDED


#: Characters of the longest text that is worth sharing.
SHARED = 128


@lru_cache(maxsize=4096)
def kept(text: str) -> str:
    """As `shared`, for a text that is known to be no longer than :data:`SHARED`."""
    return text


def shared(text: str) -> str:
    """The same text, as one object where many instances say it. Bounded, unlike `sys.intern`."""
    return kept(text) if len(text) <= SHARED else text


@lru_cache(maxsize=4096)
def port_pair(number: int, enabled: bool) -> dict[str, object]:
    """A port in Eureka's spelling. Shared between all instances that have it: never change it."""
    return {"$": number, "@enabled": "true" if enabled else "false"}


def data_centre(metadata: Mapping[str, str]) -> dict[str, object]:
    """An Amazon data centre in Eureka's spelling."""
    return {"@class": _AMAZON_CENTRE, "name": "Amazon", "metadata": dict(metadata)}


def _registered(tree: Mapping[str, object], now_ms: int, limits: Limits) -> Instance:
    centre = tree.get("dataCenterInfo")
    amazon = _amazon(centre)
    sent_id = _text(tree, "instanceId", limits.id) or (
        _text(amazon, "instance-id", limits.id) if amazon is not None else None
    )
    host = _text(tree, "hostName", limits.id)
    address = _text(tree, "ipAddr", limits.id)
    app = _text(tree, "app", limits.id)
    if not (sent_id or host):
        raise WireError("instanceId is missing; send it, or at least hostName")
    if not host:
        raise WireError("hostName is missing; send the host name or address others reach this instance at")
    if not address:
        raise WireError("ipAddr is missing; send the instance's IP address")
    if not app:
        raise WireError("app is missing; send the application's name")
    check_name(app, limits=limits)
    check_host(host, "hostName")
    check_host(address, "ipAddr")
    identity = check_id(sent_id or _told_id(tree, host) or host, limits)

    extra: dict[str, object] = {}
    kept = _centre(centre, amazon, identity, limits)
    if kept is not MY_OWN:
        extra["dataCenterInfo"] = kept
    port, secure = _ports(tree, extra)
    for name in ("sid", "appGroupName", "asgName"):
        text = _text(tree, name, limits.text)
        if text and not text.isprintable():
            raise WireError(f"{name} must not contain control characters")
        _keep(extra, name, text)
    for name in VIPS:
        text = _text(tree, name, (limits.name + 1) * limits.vips)
        if text:
            extra[name] = shared(check_vips(text, name, limits))
    for name in URLS:
        value = tree.get(name)
        if isinstance(value, str) and good_url(value, limits):
            extra[name] = value
    country = tree.get("countryId")
    if country is not None and country != "" and (number := integer(country, "countryId")) != 1:
        extra["countryId"] = number
    overridden = _status(_overridden(tree), "overriddenStatus", Status.UNKNOWN)
    if overridden is not Status.UNKNOWN:
        extra["overriddenStatus"] = overridden.value

    lease = tree.get("leaseInfo")
    if lease is None or lease == "":
        lease = {}
    if not isinstance(lease, dict):
        raise WireError("leaseInfo must be an object")
    dirty = tree.get("lastDirtyTimestamp")
    dirty_at = 0 if dirty is None or dirty == "" else integer(dirty, "lastDirtyTimestamp")
    if now_ms:
        dirty_at = min(dirty_at or now_ms, now_ms + limits.skew)
    metadata = check_metadata(tree.get("metadata"), "metadata", limits)
    return Instance(
        service=shared(app.lower()),
        id=identity,
        host=host,
        port=port,
        address=address,
        secure=secure,
        status=_status(tree.get("status"), "status", Status.UP),
        zone=_zone(metadata, extra),
        metadata=MappingProxyType(metadata) if metadata else EMPTY,
        renew_every=_seconds(lease.get("renewalIntervalInSecs"), RENEW_EVERY, limits),
        expire_after=_seconds(lease.get("durationInSecs"), EXPIRE_AFTER, limits),
        dirty_at=dirty_at,
        extra=extra or _NO_EXTRA,
    )


def _listed(tree: Mapping[str, object]) -> Instance:
    get = tree.get
    app, host, address, identity = get("app"), get("hostName"), get("ipAddr"), get("instanceId")
    centre = get("dataCenterInfo")
    amazon = _amazon(centre)
    if not isinstance(address, str):
        address = ""
    if not isinstance(host, str) or not host:
        host = address
    if not isinstance(identity, str) or not identity:
        identity = amazon.get("instance-id") if amazon is not None else None
        if not isinstance(identity, str) or not identity:
            identity = host
    if not isinstance(app, str) or not app or not host:
        raise WireError("an instance without app, or without hostName and ipAddr")
    check_host(host, "hostName", loose=True)
    if not (identity.isprintable() and app.isprintable()):
        raise WireError("an instance with control characters in its id or app")

    extra: dict[str, object] = {}
    if amazon is not None:
        extra["dataCenterInfo"] = data_centre(_strings(amazon))
    elif isinstance(centre, dict) and centre.get("name") == "Netflix":
        extra["dataCenterInfo"] = _NETFLIX
    port, secure = _ports(tree, extra)
    for name in ("sid", "appGroupName", "asgName", *VIPS):
        text = get(name)
        if text and isinstance(text, str):
            _keep(extra, name, text)
    for name in URLS:
        text = get(name)
        if text and isinstance(text, str) and good_url(text):
            extra[name] = text
    country = whole(get("countryId"))
    if country not in (0, 1):
        extra["countryId"] = country
    overridden = _lenient_status(_overridden(tree), Status.UNKNOWN)
    if overridden is not Status.UNKNOWN:
        extra["overriddenStatus"] = overridden.value

    lease = get("leaseInfo")
    renew, expire = RENEW_EVERY, EXPIRE_AFTER
    if isinstance(lease, dict):
        renew = _seconds(lease.get("renewalIntervalInSecs"), RENEW_EVERY, LIMITS)
        expire = _seconds(lease.get("durationInSecs"), EXPIRE_AFTER, LIMITS)
    sent_metadata = get("metadata")
    metadata = _strings(sent_metadata) if isinstance(sent_metadata, dict) else {}
    return Instance(
        service=shared(app.lower()),
        id=canonical_id(identity),
        host=host,
        port=port,
        address=address,
        secure=secure,
        status=_lenient_status(get("status"), Status.UP),
        zone=_zone(metadata, extra),
        metadata=MappingProxyType(metadata) if metadata else EMPTY,
        renew_every=renew,
        expire_after=expire,
        dirty_at=max(0, whole(get("lastDirtyTimestamp"))),
        extra=extra or _NO_EXTRA,
    )


def _text(tree: Mapping[str, object], name: str, longest: int) -> str | None:
    value = tree.get(name)
    if value is None:
        return None
    text = scalar(value, name)
    if size(text) > longest:
        raise WireError(f"{name} must be at most {longest} bytes long")
    return text


def _told_id(tree: Mapping[str, object], host: str) -> str:
    """The id that Spring's first clients go by, who tell of it in the metadata only; what is none is left."""
    metadata = tree.get("metadata")
    value = metadata.get("instanceId") if isinstance(metadata, dict) else None
    told = scalar(value, "instanceId") if isinstance(value, (str, int)) else ""
    if not told.isprintable() or " " in told:
        return ""
    return told if not told or told.startswith(host) else f"{host}:{told}"


def _keep(extra: dict[str, object], name: str, text: str | None) -> None:
    if not text or (name == "sid" and text in ("na", "unknown")):
        return
    extra[name] = shared(text.upper() if name == "appGroupName" else text)


def _amazon(centre: object) -> dict[str, object] | None:
    """The metadata of an Amazon data centre; None for any other."""
    if not isinstance(centre, dict):
        return None
    name = centre.get("name")
    if not isinstance(name, str) or name.lower() != "amazon":
        return None
    metadata = centre.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _centre(
    centre: object, amazon: dict[str, object] | None, identity: str, limits: Limits
) -> Mapping[str, object]:
    if not isinstance(centre, dict):
        raise WireError('dataCenterInfo is missing; send {"name": "MyOwn"} if there is none to tell of')
    if amazon is not None:
        sent = centre.get("metadata")
        if sent is not None and sent != "" and not isinstance(sent, dict):
            raise WireError("dataCenterInfo.metadata must be an object of strings")
        told = check_metadata(amazon, "dataCenterInfo.metadata", limits)
        if not told.get("instance-id"):
            told["instance-id"] = identity
        return data_centre(told)
    name = centre.get("name")
    # The class is derived from the name, for senders disagree about it or leave it out.
    lowered = name.lower() if isinstance(name, str) else ""
    if lowered == "myown":
        return MY_OWN
    if lowered == "netflix":
        return _NETFLIX
    raise WireError("dataCenterInfo.name must be Netflix, Amazon or MyOwn")


def _ports(tree: Mapping[str, object], extra: dict[str, object]) -> tuple[int, bool]:
    """The port to call and whether it speaks TLS; ``extra`` gets what `fields.ports` would not guess."""
    plain, plain_on = _port(tree.get("port"), "port", PLAIN_PORT, True)
    tls, tls_on = _port(tree.get("securePort"), "securePort", SECURE_PORT, False)
    if tls_on and not plain_on:
        if plain != tls:
            extra["port"] = port_pair(plain, False)
        return tls, True
    if not plain_on:
        extra["port"] = port_pair(plain, False)
    if tls_on or tls != SECURE_PORT:
        extra["securePort"] = port_pair(tls, tls_on)
    return plain, False


def _port(value: object, name: str, default: int, enabled: bool) -> tuple[int, bool]:
    if value is None or value == "":
        return default, enabled
    if isinstance(value, dict):
        said = value.get("@enabled")
        if isinstance(said, bool):
            enabled = said
        elif isinstance(said, str):
            # Eureka's rule: the plain port is on unless it says false, the secure one off unless true.
            enabled = said.strip().lower() != "false" if enabled else said.strip().lower() == "true"
        value = value.get("$")
        if value is None or value == "":
            return default, enabled
    return integer(value, name, 65535), enabled


def _overridden(tree: Mapping[str, object]) -> object:
    value = tree.get("overriddenStatus")
    return tree.get("overriddenstatus") if value is None else value


def _status(value: object, name: str, default: Status) -> Status:
    if value is None or value == "":
        return default
    status = _STATUS.get(value.upper()) if isinstance(value, str) else None
    if status is None:
        raise WireError(f"{name} must be one of {', '.join(_STATUS)}")
    return status


def _lenient_status(value: object, default: Status) -> Status:
    if value is None or value == "":
        return default
    return _STATUS.get(value.upper(), Status.UNKNOWN) if isinstance(value, str) else Status.UNKNOWN


def _seconds(value: object, default: int, limits: Limits) -> int:
    seconds = whole(value)
    return min(max(seconds, limits.lease_min), limits.lease_max) if seconds > 0 else default


def _strings(tree: Mapping[str, object]) -> dict[str, str]:
    """The scalar entries as text; what else there is, is left out."""
    return {
        key: value if isinstance(value, str) else scalar(value, key)
        for key, value in tree.items()
        if key != "@class" and isinstance(value, (str, int, float))
    }


def _zone(metadata: Mapping[str, str], extra: Mapping[str, object]) -> str:
    zone = metadata.get("zone") or zone_of(extra.get("dataCenterInfo"))
    return shared(zone) if zone else "default"


def zone_of(centre: object) -> str:
    """The availability zone an Amazon data centre tells of, or ``""``."""
    told = centre.get("metadata") if isinstance(centre, dict) else None
    zone = told.get("availability-zone") if isinstance(told, dict) else None
    return zone if isinstance(zone, str) else ""
