"""The server's own state as Eureka shows it at ``status``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from resilient.eureka import json, xml
from resilient.eureka.fields import tree
from resilient.model import Instance

#: The URLs of the peers that answer, and of those that do not; without credentials.
Replicas = tuple[Sequence[str], Sequence[str]]


def _general(uptime: float) -> dict[str, str]:
    days, rest = divmod(int(uptime), 86_400)
    before = "" if not days else "1 day " if days == 1 else f"{days} days "
    return {
        "environment": "test",
        "num-of-cpus": str(os.cpu_count() or 1),
        "server-uptime": f"{before}{rest // 3600:02d}:{rest % 3600 // 60:02d}",
    }


def _application(replicas: Replicas) -> dict[str, str]:
    well, ill = replicas
    return {
        "registered-replicas": ", ".join((*well, *ill)),
        # Eureka's habit: a comma behind each.
        "available-replicas": "".join(f"{url}," for url in well),
        "unavailable-replicas": "".join(f"{url}," for url in ill),
    }


def _itself(url: str, zone: str) -> dict[str, object]:
    parts = urlsplit(url or "http://localhost/")
    host = parts.hostname or "localhost"
    return tree(
        Instance(
            service="eureka", id=host, host=host, port=parts.port or 80, address=host, zone=zone or "default"
        )
    )


def status_json(uptime: float, url: str, zone: str, replicas: Replicas = ((), ())) -> bytes:
    """``status`` as JSON. ``uptime`` is in seconds."""
    return json.dump(
        {
            "generalStats": _general(uptime),
            "applicationStats": _application(replicas),
            "instanceInfo": _itself(url, zone),
            "healthy": True,
        }
    )


def status_xml(uptime: float, url: str, zone: str, replicas: Replicas = ((), ())) -> bytes:
    """``status`` as XML."""

    def group(name: str, entries: Mapping[str, str]) -> str:
        inside = "".join(f"<{key}>{xml.escape(value)}</{key}>" for key, value in entries.items())
        return f"<{name}>{inside}</{name}>"

    # The root is named after Eureka's class; `instance` becomes its member's name.
    own = xml.write_instance(_itself(url, zone)).strip()
    own = own.removeprefix(b"<instance>").removesuffix(b"</instance>")
    head = f"<com.netflix.eureka.util.StatusInfo>{group('generalStats', _general(uptime))}"
    middle = group("applicationStats", _application(replicas))
    return b"".join(
        (
            head.encode(),
            middle.encode(),
            b"<instanceInfo>",
            own,
            b"</instanceInfo><isHealthy>true</isHealthy></com.netflix.eureka.util.StatusInfo>",
        )
    )
