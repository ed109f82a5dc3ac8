"""Eureka's XML, both ways: the tree of `fields` in elements. The functions are those of `json`.

Parsing takes no document type, no entity and nothing from elsewhere, and builds only what is within the
limits. Writing goes through one escape: a record with characters that XML cannot carry is shown with
replacements, so it never makes a whole list unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from defusedxml.ElementTree import DefusedXMLParser, ParseError

from ..errors import WireError
from ..model import Instance
from .json import Page, page
from .limits import LIMITS, READING, Limits
from .reading import instance_of

CONTENT_TYPE = "application/xml"

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.-]*")
_ESCAPED = re.compile(r"__|_-|(?:_\.[0-9a-fA-F]{4})+")
# Markup, the carriage return (parsers turn it into a line feed), and what XML 1.0 forbids.
_SPECIAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ENCODING = re.compile(rb"""<\?xml[^>]{0,100}?\sencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ENCODINGS = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "us-ascii", "iso-8859-1": "iso-8859-1"}
_KNOWN_IN_V1 = ("UP", "DOWN", "STARTING")


def read_instance(
    body: bytes, *, trusted: bool = False, now_ms: int = 0, limits: Limits = LIMITS
) -> Instance:
    """The instance in ``<instance>``; WireError if it makes no sense or breaks a limit."""
    root = _parse(body, READING if trusted else limits)
    if root.tag != "instance":
        raise WireError("the body's root must be <instance>")
    return instance_of(_instance(root), trusted=trusted, now_ms=now_ms, limits=limits)


def read_applications(body: bytes, *, limits: Limits = READING) -> Page:
    """Everything in a registry's answer, root ``<applications>`` or ``<application>``; see `json`."""
    root = _parse(body, limits)
    if root.tag == "application":
        return page({"application": _application(root)})
    if root.tag != "applications":
        raise WireError("the answer's root must be <applications> or <application>")
    applications: dict[str, object] = {}
    found: list[object] = []
    for child in root.children:
        if child.tag == "application":
            found.append(_application(child))
        else:
            applications[child.tag] = child.text.strip()
    applications["application"] = found
    return page(applications)


def write_instance(tree: Mapping[str, object], *, v1: bool = False) -> bytes:
    """One ``<instance>`` from `fields.tree`, a whole document and a fragment for joining.

    ``v1`` is for clients of version 1: every status they do not know becomes DOWN.
    """
    parts = ["<instance>"]
    for name, value in tree.items():
        if isinstance(value, dict):
            parts.append(_nested(name, value))
            continue
        if name == "overriddenStatus":
            name = "overriddenstatus"
        elif v1 and name == "status" and value not in _KNOWN_IN_V1:
            value = "DOWN"
        parts.append(f"<{name}>{escape(str(value))}</{name}>")
    parts.append("</instance>")
    return "".join(parts).encode()


def write_application(name: str, instances: Iterable[bytes]) -> bytes:
    """One ``<application>`` from its instances, a whole document and a fragment for joining."""
    return b"<application><name>%b</name>%b</application>" % (escape(name).encode(), b"".join(instances))


def write_applications(version: str, fingerprint: str, applications: Iterable[bytes]) -> bytes:
    """A whole ``<applications>`` document."""
    return (
        b"<applications><versions__delta>%b</versions__delta>"
        b"<apps__hashcode>%b</apps__hashcode>%b</applications>"
    ) % (escape(version).encode(), escape(fingerprint).encode(), b"".join(applications))


def document(root: str, fragment: bytes) -> bytes:
    """A whole document from one fragment: in XML the fragment is one already."""
    return fragment


def escape(text: str) -> str:
    """Text for an element: markup escaped, characters that XML cannot carry replaced by U+FFFD."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], "\ufffd"), text)


def encode_name(key: str) -> str:
    """A metadata key as an element name: ``rack_id`` is ``rack__id``, ``a b`` is ``a_.0020b``."""
    if _PLAIN_NAME.fullmatch(key):
        return key
    parts = []
    for position, char in enumerate(key):
        if char == "_":
            parts.append("__")
        elif char == "$":
            parts.append("_-")
        elif char.isascii() and (char.isalpha() or (position and (char.isdigit() or char in ".-"))):
            parts.append(char)
        else:
            # As Java counts: a character beyond the basic plane is two units.
            units = char.encode("utf-16-be", "surrogatepass").hex()
            parts += [f"_.{units[at : at + 4]}" for at in range(0, len(units), 4)]
    return "".join(parts)


def decode_name(name: str) -> str:
    """The metadata key behind an element name; WireError for escapes that are no text."""
    return _ESCAPED.sub(_unescape, name) if "_" in name else name


def _unescape(found: re.Match[str]) -> str:
    escape = found[0]
    if escape == "__":
        return "_"
    if escape == "_-":
        return "$"
    try:
        return bytes.fromhex(escape.replace("_.", "")).decode("utf-16-be")
    except UnicodeDecodeError:
        raise WireError("a metadata key's escape stands for half of a surrogate pair") from None


class _Element:
    """One element: it holds either children or text."""

    __slots__ = ("attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[_Element] = []
        self.text = ""


class _Builder:
    """Receives the parser's calls and stops it where a limit is passed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: list[_Element] = []
        self._text: list[str] = []
        self._nodes = 0
        self.root: _Element | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._nodes += 1 + len(attributes)
        if self._nodes > self._limits.nodes:
            raise WireError(f"XML may hold at most {self._limits.nodes} elements and attributes")
        if len(self._open) >= self._limits.depth:
            raise WireError(f"XML may be nested at most {self._limits.depth} deep")
        self._text.clear()  # text beside elements means nothing here
        element = _Element(tag, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, tag: str) -> None:
        element = self._open.pop()
        if not element.children:
            element.text = "".join(self._text)
        self._text.clear()


def _parse(body: bytes, limits: Limits) -> _Element:
    head = body[3:203] if body.startswith(b"\xef\xbb\xbf") else body[:200]
    declared = _ENCODING.match(head)
    # Named here, the parser asks neither the document nor Python's table of codecs.
    encoding = _ENCODINGS.get(declared[1].decode().lower()) if declared else "utf-8"
    # A mark of UTF-16 would win over the name given to the parser.
    if encoding is None or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise WireError("XML must be UTF-8 or ISO-8859-1")
    builder = _Builder(limits)
    parser: Any = DefusedXMLParser(target=builder, encoding=encoding, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except WireError:
        raise
    except (ParseError, ValueError, LookupError, RecursionError):
        # A forbidden document type or entity is a ValueError of defusedxml's.
        raise WireError("cannot parse the body as XML without document type and entities") from None
    if builder.root is None:
        raise WireError("the body is not an XML document")
    return builder.root


def _application(element: _Element) -> dict[str, object]:
    name = ""
    instances: list[object] = []
    for child in element.children:
        if child.tag == "instance":
            try:
                instances.append(_instance(child))
            except WireError:
                instances.append(None)  # skipped and counted, as in JSON
        elif child.tag == "name":
            name = child.text.strip()
    return {"name": name, "instance": instances}


def _instance(element: _Element) -> dict[str, object]:
    """The tree that JSON would have carried."""
    tree: dict[str, object] = {}
    for child in element.children:
        tag = child.tag
        if tag in ("port", "securePort"):
            tree[tag] = {"$": child.text.strip(), "@enabled": child.attributes.get("enabled")}
        elif tag == "dataCenterInfo":
            tree[tag] = {
                one.tag: _entries(one) if one.tag == "metadata" else one.text.strip()
                for one in child.children
            }
        elif tag == "metadata":
            tree[tag] = _entries(child)
        elif child.children:
            tree[tag] = {one.tag: one.text.strip() for one in child.children}
        else:
            tree[tag] = child.text.strip()
    return tree


def _entries(element: _Element) -> object:
    if not element.children:
        return element.text.strip()
    # A value with elements inside is no text; an object in its place lets the checks say so.
    return {decode_name(one.tag): {} if one.children else one.text for one in element.children}


def _nested(name: str, value: Mapping[str, object]) -> str:
    if "$" in value and name != "metadata":
        return f'<{name} enabled="{value["@enabled"]}">{value["$"]}</{name}>'
    if name == "metadata":
        return _map(name, value)
    parts = []
    for key, entry in value.items():
        if key == "@class":
            continue
        parts.append(_map(key, entry) if isinstance(entry, dict) else f"<{key}>{entry}</{key}>")
    attribute = f' class="{value["@class"]}"' if "@class" in value else ""
    return f"<{name}{attribute}>{''.join(parts)}</{name}>"


def _map(name: str, value: Mapping[str, object]) -> str:
    marker = value.get("@class")
    if marker is not None and len(value) == 1:
        return f'<{name} class="java.util.Collections$EmptyMap"/>'
    inner = []
    for key, entry in value.items():
        tag = encode_name(key)
        inner.append(f"<{tag}>{escape(str(entry))}</{tag}>")
    return f"<{name}>{''.join(inner)}</{name}>"
