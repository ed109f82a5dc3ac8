"""Eureka clients of all makes that say what they know as soon as it changes; `visible` measures with them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from interop_kit import HERE, JS, JavaProgram, free_port, java_missing, js_missing
from process_kit import Process

#: Whose instances they look for.
SERVICE = "visible"


class Watcher(Process):
    """A client that says what it knows as soon as that changes; the moments are noted while reading."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.came: dict[tuple[str, str], float] = {}
        self.went: dict[tuple[str, str], float] = {}
        self._known: dict[str, set[str]] = {}
        super().__init__(*arguments, **environ)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            now = time.monotonic()
            if line.startswith('{"did":"seen"'):
                self._seen(json.loads(line), now)
            else:
                self.said.append(line)
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _seen(self, news: dict[str, Any], now: float) -> None:
        by, ids = news["by"], set(news["ids"])
        before = self._known.get(by, set())
        for id in ids - before:
            self.came.setdefault((by, id), now)
            self.went.pop((by, id), None)  # the last time counts: a list that flickers is not done
        for id in before - ids:
            self.went[by, id] = now
        self._known[by] = ids

    def watching(self) -> None:
        self.line(lambda line: line.startswith('{"did":"watching"'), 90)


class JavaWatcher(Watcher, JavaProgram):
    def watching(self) -> None:
        self.started()


def _ours(url: str, every: int | None) -> Watcher:
    environ = {"RESILIENT_FETCH_INTERVAL": str(every)} if every else {}
    program = str(HERE / "watch_ours.py")
    return Watcher(sys.executable, program, SERVICE, RESILIENT_REGISTRY=url, **environ)


def _py(url: str, every: int | None) -> Watcher:
    seconds = [str(every)] if every else []
    return Watcher(sys.executable, str(HERE / "watch_py_eureka.py"), url, SERVICE, *seconds)


def _js(url: str, every: int | None) -> Watcher:
    port = url.rsplit(":", 1)[1].split("/")[0]
    return Watcher("node", str(JS / "watch.js"), port, SERVICE, *([str(every)] if every else []))


def _java(url: str, every: int | None, jersey: str) -> Watcher:
    return JavaWatcher(
        "client",
        free_port(),
        interop__watch=SERVICE,
        eureka__client__service_url__defaultZone=url,
        eureka__client__jersey__enabled=jersey,
        eureka__client__registry_fetch_interval_seconds=str(every or 30),
        eureka__client__initial_instance_info_replication_interval_seconds="40",
        eureka__client__instance_info_replication_interval_seconds="30",
        eureka__instance__lease_renewal_interval_in_seconds=str(every or 30),
        eureka__instance__lease_expiration_duration_in_seconds=str(3 * (every or 30)),
        spring__cloud__loadbalancer__cache__enabled="true",
        spring__cloud__loadbalancer__cache__ttl=f"{every or 35}s",
    )


def _nothing_missing() -> str:
    return ""


@dataclass(frozen=True)
class Client:
    """``default`` and ``shorter`` say in words how it is set, ``rows`` names what it can be asked for."""

    name: str
    start: Callable[[str, int | None], Watcher]
    missing: Callable[[], str]
    default: str
    shorter: int
    setting: str
    rows: dict[str, str] = field(default_factory=lambda: {"client": ""})


CLIENTS = (
    Client("ours", _ours, _nothing_missing, "as it comes", 1, "`RESILIENT_FETCH_INTERVAL=1`"),
    Client("py-eureka-client", _py, _nothing_missing, "as it comes, 30 s", 5, "`renewal_interval_in_secs=5`"),
    Client("eureka-js-client", _js, js_missing, "as it comes, 30 s", 5, "`registryFetchInterval: 5000`"),
    Client(
        "Spring Cloud",
        lambda url, every: _java(url, every, "false"),
        java_missing,
        "as it comes, 30 s",
        5,
        "`registry-fetch-interval-seconds=5`",
        {"client": " DiscoveryClient", "balancer": " LoadBalancer"},
    ),
    Client(
        "Netflix eureka-client",
        lambda url, every: _java(url, every, "true"),
        java_missing,
        "as it comes, 30 s",
        5,
        "`registryFetchIntervalSeconds=5`",
    ),
)
