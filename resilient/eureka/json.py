"""Eureka's JSON, both ways.

A server prebuilds *fragments* (an instance, an application) and joins them:

    one = write_instance(tree(instance, standing))           # {...}, no root
    app = write_application("ORDERS", [one, two])             # {"name":..., "instance":[...]}, no root
    write_applications("1", "UP_2_", [app])                   # a whole document
    document("instance", one); document("application", app)   # whole documents, with their root
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from ..errors import WireError
from ..model import Action, Instance
from .limits import LIMITS, READING, Limits
from .reading import action_of, instance_of

CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Page:
    """What a registry listed: everything, or (a delta) what changed.

    ``version`` and ``fingerprint`` are ``""`` where the document has none. ``skipped`` counts entries
    that made no sense and were left out.
    """

    version: str
    fingerprint: str
    entries: list[tuple[Action, Instance]]
    skipped: int = 0


def read_instance(
    body: bytes, *, trusted: bool = False, now_ms: int = 0, limits: Limits = LIMITS
) -> Instance:
    """The instance in ``{"instance": {...}}``; WireError if it makes no sense or breaks a limit.

    ``trusted``, ``now_ms`` and ``limits`` are those of `fields.instance_of`.
    """
    root = parse(body, READING if trusted else limits)
    inner = root.get("instance") if isinstance(root, dict) else None
    if not isinstance(inner, dict):
        raise WireError('the body must be {"instance": {...}}')
    return instance_of(inner, trusted=trusted, now_ms=now_ms, limits=limits)


def read_applications(body: bytes, *, limits: Limits = READING) -> Page:
    """Everything in a registry's answer: root ``applications`` (full, delta, by VIP) or ``application``.

    Takes a single element where a list is due. Entries that make no sense are skipped and counted;
    WireError only if the document as a whole cannot be read.
    """
    root = parse(body, limits)
    if isinstance(root, dict):
        applications = root.get("applications")
        if isinstance(applications, dict):
            return page(applications)
        application = root.get("application")
        if isinstance(application, dict):
            return page({"application": application})
    raise WireError('the answer must be {"applications": {...}} or {"application": {...}}')


def page(applications: Mapping[str, object]) -> Page:
    """A page from the tree below ``applications``; used for JSON and XML alike."""
    entries: list[tuple[Action, Instance]] = []
    skipped = 0
    for application in _many(applications.get("application")):
        name = application.get("name") if isinstance(application, dict) else None
        for tree in _many(application.get("instance") if isinstance(application, dict) else None):
            if not isinstance(tree, dict):
                skipped += 1
                continue
            if not tree.get("app"):
                tree["app"] = name
            try:
                entries.append((action_of(tree), instance_of(tree, trusted=True)))
            except WireError:
                skipped += 1
    return Page(
        _word(applications.get("versions__delta")),
        _word(applications.get("apps__hashcode")),
        entries,
        skipped,
    )


def write_instance(tree: Mapping[str, object]) -> bytes:
    """One instance's fragment from `fields.tree`, without root, for joining."""
    return dump(tree)


def write_application(name: str, instances: Iterable[bytes]) -> bytes:
    """One application's fragment from instances' fragments, without root, for joining."""
    return b'{"name":%b,"instance":[%b]}' % (dump(name), b",".join(instances))


def write_applications(version: str, fingerprint: str, applications: Iterable[bytes]) -> bytes:
    """A whole ``applications`` document from applications' fragments."""
    return b'{"applications":{"versions__delta":%b,"apps__hashcode":%b,"application":[%b]}}' % (
        dump(version),
        dump(fingerprint),
        b",".join(applications),
    )


def document(root: str, fragment: bytes) -> bytes:
    """A whole document from one fragment; ``root`` is ``"instance"`` or ``"application"``."""
    return b'{"%b":%b}' % (root.encode(), fragment)


def dump(value: object) -> bytes:
    """Any value as JSON; WireError for one that JSON cannot carry, such as half of a surrogate pair."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise WireError("a value that JSON cannot carry") from None


def parse(body: bytes, limits: Limits) -> object:
    """Any JSON within the limits of depth and nodes; WireError for everything else.

    orjson refuses NaN, Infinity, invalid UTF-8, lone surrogates and nesting over 1,024 by itself, and
    reads integers beyond 64 bits as floats, so a long one costs nothing.
    """
    try:
        root: object = orjson.loads(body)
    except (ValueError, RecursionError):
        raise WireError("cannot parse the body as JSON") from None
    if len(body) <= limits.nodes and body.count(b"{") + body.count(b"[") <= limits.depth:
        return root  # too short to hold too much, and nothing in it to be nested too deep
    nodes, depth = 1, 0
    level: list[object] = [root] if isinstance(root, (dict, list)) else []
    while level:
        depth += 1
        if depth > limits.depth:
            raise WireError(f"JSON may be nested at most {limits.depth} deep")
        below: list[object] = []
        for node in level:
            nodes += len(node)  # type: ignore[arg-type]
            values = node.values() if type(node) is dict else node
            below += [value for value in values if type(value) is dict or type(value) is list]  # type: ignore[attr-defined]
        if nodes > limits.nodes:
            raise WireError(f"JSON may hold at most {limits.nodes} values")
        level = below
    return root


def _many(value: object) -> list[object]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _word(value: object) -> str:
    return str(value) if isinstance(value, (str, int)) else ""
