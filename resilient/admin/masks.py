"""Nothing secret on any page: names that sound secret, and user info in URLs (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "******"
_SECRET = re.compile(
    r"password|passwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|credential"
    r"|authorization|cookie|dsn",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(//)[^/@\s\"'<>]*@")
_NAMED = re.compile(
    r"((?:password|passwd|secret|token|api[-_]?key|credential|authorization|cookie)s?[\"']?\s*[=:]\s*[\"']?)"
    r"((?:bearer|basic)\s+)?[^\s,;&\"']+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE)


def sounds_secret(name: str) -> bool:
    """Whether a setting or a key of that name would rather not be shown."""
    return bool(_SECRET.search(name)) or name.lower() in ("key", "pass", "pwd")


def masked(text: str) -> str:
    """Free text, such as an error's message, without what looks like a credential."""
    if "@" in text:
        text = _USERINFO.sub(rf"\1{MASK}@", text)
    if "=" in text or ":" in text:
        text = _NAMED.sub(rf"\1{MASK}", text)
    if " " in text:
        text = _SCHEME.sub(rf"\1 {MASK}", text)
    return text


def masked_pairs(pairs: Mapping[str, str]) -> dict[str, str]:
    """Metadata: values of names that sound secret are not shown, others as free text."""
    return {name: MASK if sounds_secret(name) and value else masked(value) for name, value in pairs.items()}


def masked_all(value: Any) -> Any:
    """The same shape with all texts masked."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: masked_all(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(masked_all, value))
    if isinstance(value, list | tuple):
        return [masked_all(one) for one in value]
    return value
