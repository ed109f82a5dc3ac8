"""What registries tell each other: batches of changes and the answers to them, in JSON.

A batch is ``{"replicationList": [...]}``, its answer ``{"responseList": [...]}`` of the same length and
order. Instances inside stand without a root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..errors import WireError
from ..model import Instance, Status
from .fields import tree
from .json import dump, parse
from .limits import BATCH, LIMITS, READING, Limits, canonical_id, integer, scalar, size
from .reading import instance_of


class Kind(StrEnum):
    """What a registry tells its peers."""

    REGISTER = "Register"
    HEARTBEAT = "Heartbeat"
    CANCEL = "Cancel"
    STATUS = "StatusUpdate"
    STATUS_REMOVED = "DeleteStatusOverride"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One change in a batch.

    ``app`` is in upper case. ``dirty_at`` (milliseconds), ``status`` and ``overridden`` are None where
    nothing was sent. ``instance`` is None where none was sent, or where it broke a rule: then ``problem``
    says which.
    """

    kind: Kind
    app: str
    id: str
    dirty_at: int | None = None
    status: Status | None = None
    overridden: Status | None = None
    instance: Instance | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one item: a status as HTTP has them, and for 409 the server's own instance."""

    status: int
    instance: Instance | None = None


def read_batch(body: bytes, *, now_ms: int = 0, trusted: bool = False, limits: Limits = LIMITS) -> list[Item]:
    """The items of a batch; WireError if the body as a whole cannot be used (answer 400).

    That is: unreadable JSON, no list, too many items, an unknown action, an item without app or id, a
    timestamp that is no number. An instance that breaks a rule spoils only its own item: see `Item`.
    """
    root = parse(body, BATCH)
    sent = root.get("replicationList") if isinstance(root, dict) else None
    if not isinstance(sent, list):
        raise WireError('the body must be {"replicationList": [...]}')
    if len(sent) > limits.items:
        raise WireError(f"a batch may hold at most {limits.items} items")
    return [_item(one, now_ms, trusted, limits) for one in sent]


def write_batch(items: Iterable[Item]) -> bytes:
    """A batch to send to a peer."""
    sent: list[dict[str, object]] = []
    for item in items:
        one: dict[str, object] = {"appName": item.app, "id": item.id}
        if item.dirty_at is not None:
            one["lastDirtyTimestamp"] = item.dirty_at
        if item.overridden is not None:
            one["overriddenStatus"] = item.overridden.value
        if item.status is not None:
            one["status"] = item.status.value
        if item.instance is not None:
            one["instanceInfo"] = tree(item.instance)
        one["action"] = item.kind.value
        sent.append(one)
    return dump({"replicationList": sent})


def write_replies(replies: Iterable[tuple[int, Mapping[str, object] | None]]) -> bytes:
    """The answer to a batch, from a status and, for 409, the tree of the server's instance per item."""
    written: list[dict[str, object]] = []
    for status, entity in replies:
        one: dict[str, object] = {"statusCode": status}
        if entity is not None:
            one["responseEntity"] = entity
        written.append(one)
    return dump({"responseList": written})


def read_replies(body: bytes) -> list[Reply]:
    """A peer's answer to a batch; WireError if it cannot be read. An unreadable instance is left out."""
    root = parse(body, READING)
    sent = root.get("responseList") if isinstance(root, dict) else None
    if not isinstance(sent, list):
        raise WireError('the answer must be {"responseList": [...]}')
    return [_reply(one) for one in sent]


def _reply(sent: object) -> Reply:
    if not isinstance(sent, dict):
        raise WireError("each entry of responseList must be an object")
    status = integer(sent.get("statusCode"), "statusCode", 599)
    entity = sent.get("responseEntity")
    if not isinstance(entity, dict):
        return Reply(status)
    try:
        return Reply(status, instance_of(entity, trusted=True))
    except WireError:
        return Reply(status)


def _item(sent: object, now_ms: int, trusted: bool, limits: Limits) -> Item:
    if not isinstance(sent, dict):
        raise WireError("each entry of replicationList must be an object")
    try:
        kind = Kind(str(sent.get("action")))
    except ValueError:
        raise WireError(f"action must be one of {', '.join(Kind)}") from None
    app = _required(sent, "appName", limits.name).upper()
    identity = canonical_id(_required(sent, "id", limits.id))
    dirty = sent.get("lastDirtyTimestamp")
    dirty_at = None if dirty is None or dirty == "" else integer(dirty, "lastDirtyTimestamp")
    if dirty_at is not None and now_ms:
        dirty_at = min(dirty_at, now_ms + limits.skew)

    instance, problem = None, ""
    info = sent.get("instanceInfo")
    if info is not None:
        try:
            if not isinstance(info, dict):
                raise WireError("instanceInfo must be an object")
            instance = instance_of(info, trusted=trusted, now_ms=now_ms, limits=limits)
            if instance.service.upper() != app:
                instance, problem = None, "instanceInfo.app must equal appName"
        except WireError as error:
            problem = str(error)
    return Item(
        kind=kind,
        app=app,
        id=identity,
        dirty_at=dirty_at,
        status=_status(sent, "status"),
        overridden=_status(sent, "overriddenStatus"),
        instance=instance,
        problem=problem,
    )


def _required(sent: Mapping[str, object], name: str, longest: int) -> str:
    value = sent.get(name)
    text = "" if value is None else scalar(value, name)
    if not 1 <= size(text) <= longest:
        raise WireError(f"{name} must be 1 to {longest} bytes of text")
    return text


def _status(sent: Mapping[str, object], name: str) -> Status | None:
    value = sent.get(name)
    if value is None or value == "":
        return None
    try:
        return Status(str(value).upper())
    except ValueError:
        raise WireError(f"{name} must be one of {', '.join(Status)}") from None
