"""What people hand in: instances as URLs, a program by its file."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

from .errors import ConfigError
from .model import Instance


def program_name() -> str:
    """What an unregistered program goes by: its file's name."""
    path, _ = os.path.splitext(sys.argv[0] or "python")
    name = os.path.basename(os.path.dirname(path) if path.endswith("__main__") else path)
    return name if name not in ("", "-c", "-m") else "python"


def instance_from(service: str, given: str | Instance) -> Instance:
    """An instance of ``service`` from ``http://host:port`` or ``host:port``. Raises ConfigError."""
    if isinstance(given, Instance):
        return given
    try:
        parts = urlsplit(given if "//" in given else f"http://{given}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except (TypeError, ValueError):
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"instances of {service!r}: {given!r} is not a URL like http://10.0.0.7:8080")
    return Instance(
        service=service,
        id=f"{parts.hostname}:{port}",
        host=parts.hostname,
        port=port,
        secure=parts.scheme == "https",
    )
