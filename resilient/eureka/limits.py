"""What a record from outside may look like, and how large it may be.

Every check raises `WireError` naming the field and the cure. No message repeats foreign text.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import WireError

EMPTY: Mapping[str, str] = MappingProxyType({})

_LARGEST = 2**63 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A colon more than an application name: Netflix clients use "host:port" unless told otherwise.
_VIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
# RFC 1123, and the underscore that compose files and old Windows networks put into names.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# Registries of other makes list what RFC 1123 forbids; nothing that could leave its place in a URL.
_LOOSE_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}")
_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,16}")
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
_DOTTED_DIGITS = re.compile(r"[0-9]+(?:\.[0-9]+)+\.?")
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"\\^`{|}]+", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a record may be. Sizes are bytes of UTF-8, lease lengths seconds, ``skew`` milliseconds."""

    depth: int = 16
    nodes: int = 10_000
    name: int = 128
    id: int = 256
    text: int = 256
    url: int = 2048
    vips: int = 32
    metadata_entries: int = 128
    metadata_key: int = 128
    metadata_value: int = 4096
    metadata_total: int = 32_768
    lease_min: int = 1
    lease_max: int = 86_400
    skew: int = 300_000
    items: int = 5_000


LIMITS = Limits()
"""For what clients register."""

BATCH = Limits(nodes=2_000_000)
"""For what peers send in one batch; each record in it is still held to the other limits."""

READING = Limits(depth=64, nodes=20_000_000)
"""For answers of a registry: as many nodes as 100,000 instances need."""


def canonical_id(text: str) -> str:
    """An instance id as it is compared: in Unicode's composed form. Use it on ids from paths too."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def check_id(text: str, limits: Limits = LIMITS) -> str:
    """The canonical id, or WireError."""
    identity = canonical_id(text)
    # isprintable() is false for control, format, surrogate, line and paragraph characters,
    # and for every blank but the plain one.
    if not identity.isprintable() or " " in identity or identity in (".", ".."):
        raise WireError("instanceId must be printable text without blanks, and not '.' or '..'")
    if not 1 <= size(identity) <= limits.id:
        raise WireError(f"instanceId must be 1 to {limits.id} bytes long")
    return identity


def check_name(text: str, name: str = "app", limits: Limits = LIMITS) -> str:
    """An application name as it came, or WireError."""
    if len(text) > limits.name or not _NAME.fullmatch(text):
        raise WireError(
            f"{name} must be 1 to {limits.name} letters, digits, dots, dashes or underscores, "
            "beginning with a letter or digit"
        )
    return text


def check_vips(text: str, name: str, limits: Limits = LIMITS) -> str:
    """A comma-separated list of virtual addresses as it came, or WireError."""
    names = text.split(",")
    if len(names) > limits.vips:
        raise WireError(f"{name} may list at most {limits.vips} names")
    for one in names:
        bare = one.strip(" ")
        if bare and (len(bare) > limits.name or not _VIP.fullmatch(bare)):
            raise WireError(
                f"{name}: each name must be 1 to {limits.name} letters, digits, dots, dashes, "
                "underscores or colons, beginning with a letter or digit"
            )
    return text


def check_host(text: str, name: str, *, loose: bool = False) -> str:
    """A host name or a literal address as it came, or WireError."""
    if (loose and _LOOSE_HOST.fullmatch(text)) or _IPV4.fullmatch(text):
        return text
    if len(text) <= 253 and _HOST.fullmatch(text) and not _DOTTED_DIGITS.fullmatch(text):
        return text
    address, percent, scope = text.partition("%")
    if len(address) <= 45 and (not percent or (":" in address and _SCOPE.fullmatch(scope))):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            pass
        else:
            return text
    raise WireError(f"{name} must be a host name of letters, digits, dots and dashes, or an IP address")


def good_url(text: str, limits: Limits = LIMITS) -> bool:
    """Whether a link may be kept: http or https, and short."""
    return size(text) <= limits.url and _URL.fullmatch(text) is not None


def check_metadata(value: object, name: str, limits: Limits = LIMITS) -> dict[str, str]:
    """Metadata as strings, without Eureka's class marker; ``{}`` for an absent one, or WireError."""
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise WireError(f"{name} must be an object of strings")
    kept: dict[str, str] = {}
    total = 0
    for key, entry in value.items():
        if key == "@class" or entry is None:
            continue
        if not isinstance(entry, str):
            entry = scalar(entry, f"each value in {name}")
        if not 1 <= size(key) <= limits.metadata_key:
            raise WireError(f"each key in {name} must be 1 to {limits.metadata_key} bytes long")
        length = size(entry)
        if length > limits.metadata_value:
            raise WireError(f"each value in {name} must be at most {limits.metadata_value} bytes long")
        total += size(key) + length
        kept[key] = entry
    if len(kept) > limits.metadata_entries:
        raise WireError(f"{name} may hold at most {limits.metadata_entries} entries")
    if total > limits.metadata_total:
        raise WireError(f"{name} may hold at most {limits.metadata_total} bytes of keys and values")
    return kept


def scalar(value: object, name: str) -> str:
    """The text of a string, number or truth value, or WireError."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise WireError(f"{name} must be text, not an object or a list")


def integer(value: object, name: str, top: int = _LARGEST) -> int:
    """A whole number from 0 to ``top``, written as number or text, or WireError."""
    number = -1
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit() and len(text) <= 20:
            number = int(text)
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else -1
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if not 0 <= number <= top:
        raise WireError(f"{name} must be a whole number from 0 to {top}")
    return number


def whole(value: object) -> int:
    """A whole number of any sign, 0 for what cannot be read as one."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if abs(value) < _LARGEST else 0
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return 0


def size(text: str) -> int:
    """Bytes of UTF-8; WireError for half a surrogate pair, which no wire can carry."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise WireError("text must not contain half of a surrogate pair") from None
