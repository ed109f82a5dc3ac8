"""The same requests to our registry and to Netflix's: python differential.py OURS THEIRS

Both are base URLs that end in ``/eureka/``, of servers that are empty and have no other client. Prints where
statuses, kinds of content or bodies differ. Times, and what changes from reply to reply, are compared by kind
only. Ends with 1 if it found a difference that `EXPLAINED` does not name, or missed one that it does;
docs/compatibility.md explains each of them under its name.
"""

from __future__ import annotations

import gzip
import http.client
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from differential_cases import Case, cases

TIMES = {
    "lastUpdatedTimestamp",
    "registrationTimestamp",
    "lastRenewalTimestamp",
    "evictionTimestamp",
    "serviceUpTimestamp",
}


@dataclass(frozen=True)
class Reply:
    """What came back; ``body`` made comparable."""

    status: int
    kind: str
    coding: str
    body: Any


@dataclass(frozen=True)
class Difference:
    """One leaf of one reply: ``where`` is ``status``, ``type``, ``coding`` or a path into the body."""

    case: Case
    where: str
    ours: Any
    theirs: Any

    @property
    def reason(self) -> str:
        """The name under which it is explained, ``""`` if it is not."""
        general = next((name for name, holds in GENERAL.items() if holds(self)), "")
        return general or (self.case.name if self._is_meant() else "")

    def _is_meant(self) -> bool:
        return any(
            where == self.where and ours in (self.ours, ...) and theirs in (self.theirs, ...)
            for where, ours, theirs in EXPLAINED.get(self.case.name, ())
        )

    def __str__(self) -> str:
        return f"{self.case.name} | {self.where}: ours {_short(self.ours)}, theirs {_short(self.theirs)}"


#: Differences that are meant, wherever they show. docs/compatibility.md explains each under its name.
GENERAL: dict[str, Callable[[Difference], bool]] = {
    "errors have no body": lambda one: one.where == "error body",
    "the id is always shown": lambda one: one.where.endswith("/instanceId") and one.theirs == "absent",
}
_LISTED, _NOT_LISTED = ("status", 200, 404), ("status", 404, 200)
_TAKEN, _REFUSED = ("status", 204, 400), ("status", 400, 204)
_ONLY_OURS = [("kind", "application/json", ""), ("kind", "application/xml", ""), ("", ..., "")]
#: Differences that are meant, by case: what differs, what we say, what the other says (``...``: whatever).
#: docs/compatibility.md explains each under its name, or what stands before the comma.
EXPLAINED: dict[str, list[tuple[str, Any, Any]]] = {
    "Accept of a browser": [("status", 200, 406)],
    "gzip of an application": [("coding", "gzip", "")],
    "two slashes": [("status", 200, 404)],
    "heartbeat with a bad stamp": [("status", 400, 500)],
    "an overridden instance, XML": [("/status/0/$", "OUT_OF_SERVICE", "DOWN")],
    "an overridden instance, registered again, XML": [("/status/0/$", "OUT_OF_SERVICE", "DOWN")],
    "overrides": [("status", 200, 404)],
    "override with a bad status": [("status", 400, 500)],
    "override without a status": [("status", 400, 500)],
    "an instance overridden with the present status, JSON": [("/instance/overriddenStatus", "UP", "UNKNOWN")],
    "an instance overridden with the present status, XML": [("/overriddenstatus/0/$", "UP", "UNKNOWN")],
    "heartbeat after an override with the present status": [("status", 404, 200)],
    "a batch without a list": [("status", 400, 500)],
    "metadata after a registration": [
        ("/instance/metadata/zone", "rack-b", "rack-a"),
        ("/instance/metadata/canary", "yes", "absent"),
    ],
    "a port as a number": [_TAKEN],
    "a port as a number, as it is listed": [_LISTED],
    "a bad port": [_REFUSED],
    "a bad port, as it is listed": [_NOT_LISTED],
    "a bad stamp": [_REFUSED],
    "a bad stamp, as it is listed": [_NOT_LISTED],
    "status in lower case, as it is listed": [
        ("/instance/status", "UP", "UNKNOWN"),
        ("/instance/leaseInfo/serviceUpTimestamp", "a time (int)", "no time (int)"),
    ],
    "a bad status": [_REFUSED],
    "a bad status, as it is listed": [_NOT_LISTED],
    "data centre without class": [_TAKEN],
    "data centre without class, as it is listed": [_LISTED],
    "data centre with more in it": [_TAKEN],
    "data centre with more in it, as it is listed": [_LISTED],
    "a blank in the id": [_REFUSED],
    "a bad host name": [_REFUSED],
    "a bad host name, as it is listed": [_NOT_LISTED],
    "a bad home page, as it is listed": [("/instance/homePageUrl", "absent", "javascript:alert(1)")],
    "an id in the metadata on Amazon, as it is listed": [_LISTED],
    "an id in the metadata on Amazon, heartbeat": [_LISTED],
    "late registration, what it did": [_NOT_LISTED],
    "a slash in an id": [("status", 200, 400)],
    "a slash in an id, sign-out": [("status", 200, 400)],
    "the registry's own state": [("status", 200, 500)],
    "Amazon by name only, JSON": _ONLY_OURS,
    "Amazon by name only, XML": _ONLY_OURS,
}


#: The differences among them that ``resilient registry --strict-eureka`` does without.
HABITS = {
    "an instance overridden with the present status, JSON",
    "an instance overridden with the present status, XML",
    "heartbeat after an override with the present status",
    "metadata after a registration",
    "late registration, what it did",
}


def send(base: str, case: Case) -> Reply:
    """One request with exactly the case's headers."""
    parts = urlsplit(base)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        # Cases begin with a slash to leave the base path.
        path = case.path if case.path.startswith("/") else parts.path + case.path
        connection.putrequest(case.method, path, skip_accept_encoding=True)
        for name, value in case.headers.items():
            connection.putheader(name, value)
        if case.body is not None:
            connection.putheader("Content-Length", str(len(case.body)))
        connection.endheaders(case.body)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    coding = answer.headers.get("Content-Encoding", "")
    if coding == "gzip":
        body = gzip.decompress(body)
    kind = answer.headers.get("Content-Type", "").partition(";")[0] if body else ""
    return Reply(answer.status, kind, coding, _comparable(kind, body, answer.status))


def _comparable(kind: str, body: bytes, status: int) -> Any:
    if not body:
        return ""
    if status >= 400 and status != 409:
        return "words for people"
    if kind == "application/json":
        return _json(json.loads(body))
    if kind.endswith("xml"):
        return _xml(ElementTree.fromstring(body))
    return "words for people"


def _json(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _json(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one) for one in value]
    return _leaf(name, value)


def _xml(element: ElementTree.Element) -> Any:
    """As a dictionary: attributes with ``@``, children in lists, text as ``$``."""
    found: dict[str, Any] = {f"@{key}": value for key, value in element.attrib.items()}
    for child in element:
        found.setdefault(child.tag, []).append(_xml(child))
    text = (element.text or "").strip()
    return found | ({"$": _leaf(element.tag, text)} if text else {})


def _leaf(name: str, value: Any) -> Any:
    """A value, or its kind where the value is another each time."""
    kind = type(value).__name__
    if name in TIMES:
        return f"a time ({kind})" if str(value) != "0" else f"no time ({kind})"
    if name == "lastDirtyTimestamp" and int(value) > 10**12:
        return f"now ({kind})"
    if name == "versions__delta" and int(value) > 0:
        return f"a version ({kind})"
    return value


def compare(ours: str, theirs: str) -> Iterator[Difference]:
    """The differences, in the order of the cases, which build on each other."""
    for case in cases():
        mine, other = send(ours, case), send(theirs, case)
        for where, one, another in _differences(mine, other):
            yield Difference(case, where, one, another)


def _differences(ours: Reply, theirs: Reply) -> Iterator[tuple[str, Any, Any]]:
    if ours.status != theirs.status:
        yield "status", ours.status, theirs.status
        return  # the rest follows from it
    if ours.status >= 400 and ours.body == "" != theirs.body:
        yield "error body", ours.body, theirs.body
        return
    for where in ("kind", "coding"):
        if getattr(ours, where) != getattr(theirs, where):
            yield where, getattr(ours, where), getattr(theirs, where)
    yield from _leaves(ours.body, theirs.body, "")


def _leaves(ours: Any, theirs: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, list) and isinstance(theirs, list):
        ours, theirs = _by_name(ours), _by_name(theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in {**ours, **theirs}:
            yield from _leaves(ours.get(key, "absent"), theirs.get(key, "absent"), f"{where}/{key}")
    elif ours != theirs:
        yield where, ours, theirs


def _by_name(listed: list[Any]) -> dict[str, Any]:
    return {f"{_name(one) or index}": one for index, one in enumerate(listed)}


def _name(value: Any) -> str:
    """What tells one application or instance from another, in both formats."""
    if isinstance(value, dict):
        for key in ("hostName", "name"):
            found = value.get(key)
            if isinstance(found, list):
                found = found[0].get("$")
            if found:
                return str(found)
    return ""


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else text[:160] + "..."


def main(ours: str, theirs: str) -> int:
    differences = list(compare(ours, theirs))
    for one in differences:
        if not one.reason:
            print(f"NOT EXPLAINED: {one}")
    for reason in dict.fromkeys(one.reason for one in differences if one.reason):
        found = [one for one in differences if one.reason == reason]
        print(f"{reason}: {len(found)}, such as {found[0]}")
    for reason in missing(differences):
        print(f"NO LONGER DIFFERENT: {reason}")
    unknown = sum(not one.reason for one in differences)
    print(f"{sum(1 for _ in cases())} requests, {len(differences)} differences, {unknown} not explained")
    return 1 if unknown or missing(differences) else 0


def missing(differences: list[Difference]) -> list[str]:
    """Explanations that nothing needs any more."""
    return sorted({*EXPLAINED, *GENERAL} - {one.reason for one in differences})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
