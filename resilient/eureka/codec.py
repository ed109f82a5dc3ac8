"""Which of Eureka's two spellings a request wants, with the same functions for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ..errors import WireError
from ..model import Instance
from . import json, xml
from .json import Page
from .limits import LIMITS, READING, Limits


class ReadInstance(Protocol):
    """See `json.read_instance`."""

    def __call__(
        self, body: bytes, *, trusted: bool = False, now_ms: int = 0, limits: Limits = LIMITS
    ) -> Instance: ...


class ReadApplications(Protocol):
    """See `json.read_applications`."""

    def __call__(self, body: bytes, *, limits: Limits = READING) -> Page: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One spelling: its name, its content type, and what reads and writes it (see `json`)."""

    name: str
    content_type: str
    read_instance: ReadInstance
    read_applications: ReadApplications
    write_instance: Callable[[Mapping[str, object]], bytes]
    write_application: Callable[[str, Iterable[bytes]], bytes]
    write_applications: Callable[[str, str, Iterable[bytes]], bytes]
    document: Callable[[str, bytes], bytes]


JSON = Format(
    "json",
    json.CONTENT_TYPE,
    json.read_instance,
    json.read_applications,
    json.write_instance,
    json.write_application,
    json.write_applications,
    json.document,
)
XML = Format(
    "xml",
    xml.CONTENT_TYPE,
    xml.read_instance,
    xml.read_applications,
    xml.write_instance,
    xml.write_application,
    xml.write_applications,
    xml.document,
)
XML_V1 = Format(
    "xml-v1",
    xml.CONTENT_TYPE,
    xml.read_instance,
    xml.read_applications,
    partial(xml.write_instance, v1=True),
    xml.write_application,
    xml.write_applications,
    xml.document,
)
"""XML for clients of version 1, who know no status but UP, DOWN and STARTING."""

FORMATS: Mapping[str, Format] = {one.name: one for one in (JSON, XML, XML_V1)}


def wanted(accept: str | None, *, v1: bool = False) -> Format:
    """The format of an answer, from the request's ``Accept``: JSON only if it says ``json``, else XML."""
    if accept and "json" in accept.lower():
        return JSON
    return XML_V1 if v1 else XML


def sent(content_type: str | None) -> Format | None:
    """The format of a body, from its ``Content-Type``; None for one that is neither (answer 415).

    A missing or empty header means JSON, which is what every known client sends.
    """
    kind = (content_type or json.CONTENT_TYPE).partition(";")[0].strip().lower()
    if kind in ("application/json", "text/json"):
        return JSON
    if kind in ("application/xml", "text/xml"):
        return XML
    return None


def as_utf8(body: bytes, charset: str | None) -> bytes | None:
    """The body in UTF-8, from the charset its ``Content-Type`` names; None for a foreign one (415).

    WireError if the bytes are not what the charset says.
    """
    name = (charset or "utf-8").strip("\"' ").lower()
    if name in ("utf-8", "utf8", "us-ascii", "ascii"):
        return body
    if name in ("iso-8859-1", "iso8859-1", "latin1", "latin-1"):
        try:
            return body.decode("latin-1").encode()
        except UnicodeError:
            raise WireError("the body is not what its charset says") from None
    return None
