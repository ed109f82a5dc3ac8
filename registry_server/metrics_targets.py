"""Whom Prometheus should scrape: its HTTP service discovery, read from the directory.

An instance takes part by its metadata: by ``prometheus.path``, or by ``management.path``, which our own
services tell (their page is ``/metrics``) and those of Spring may (``prometheus`` below it). Where it listens
for that is in ``prometheus.port`` or ``management.port``, if not at its own port.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from resilient.model import Instance

from .leases import LeaseTable

#: The most targets in one answer: Prometheus reads it whole.
MOST_TARGETS = 10_000
#: What the registry itself is called among its services.
ITSELF = "resilient-registry"
#: The management path of our own services.
OURS = "/admin"
#: Instances looked at before others on the loop have a turn.
AT_ONCE = 500
_PATH = re.compile(r"/[\x21\x22\x24-\x3e\x40-\x7e]{0,255}")  # no blanks, no query, no fragment
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_LONGEST = 256

Target = dict[str, Any]


def target_of(instance: Instance) -> Target | None:
    """What Prometheus is told of an instance; None if it says nothing of metrics, or no sense.

    Its own words become values of labels, cut to a length that a label may have.
    """
    metadata = instance.metadata
    path = metadata.get("prometheus.path")
    if path is None:
        management = metadata.get("management.path")
        if management is None:
            return None
        path = "/metrics" if management == OURS else f"{management.rstrip('/')}/prometheus"
    own = str(instance.port)
    port = metadata.get("prometheus.port") or metadata.get("management.port") or own
    scheme = metadata.get("prometheus.scheme") or ("https" if instance.secure and port == own else "http")
    host = instance.host
    if (
        not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536)
        or scheme not in ("http", "https")
        or not _PATH.fullmatch(path)
        or not _HOST.fullmatch(host)
    ):
        return None
    return _target(
        host,
        port,
        scheme,
        path,
        service=instance.service,
        instance=instance.id,
        zone=instance.zone,
        status=instance.status.value,
        version=metadata.get("version", ""),
    )


def itself(host: str, scheme: str) -> Target | None:
    """The registry that is asked, at the address (``host:port``) it was asked at."""
    name, colon, port = host.rpartition(":")
    name = name.strip("[]")
    if not colon or not port.isdigit() or not _HOST.fullmatch(name):
        return None
    return _target(name, port, scheme, "/metrics", service=ITSELF, instance=host)


def _target(host: str, port: str, scheme: str, path: str, **labels: str) -> Target:
    meta = {f"__meta_resilient_{name}": value[:_LONGEST] for name, value in labels.items()}
    return {
        "targets": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
        "labels": {"__metrics_path__": path, "__scheme__": scheme, **meta},
    }


def targets(table: LeaseTable, services: frozenset[str] | None = None) -> Iterator[Target | None]:
    """All targets, or those of some services; a None after each :data:`AT_ONCE` instances is a moment to
    let others have a turn. At most :data:`MOST_TARGETS`.
    """
    found = looked = 0
    for service in sorted(table.services() if services is None else services):
        for lease in tuple(table.leases(service).values()):
            looked += 1
            if looked % AT_ONCE == 0:
                yield None
            target = target_of(lease.record.instance)
            if target is not None:
                yield target
                found += 1
                if found >= MOST_TARGETS:
                    return
