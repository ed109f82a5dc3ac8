"""A real Prometheus over a small estate, and what the files in ops/ ask it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from process_kit import Process, RegistryProcess, get_json, registry

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
SERVICE = str(Path(__file__).with_name("ops_service.py"))
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
MISSING = "no prometheus and promtool here (as root: apt-get install prometheus)"
TARGETS = "/resilient/v1/prometheus/targets"


def panels() -> Iterator[tuple[str, str]]:
    """Title and query of each panel, its variables taken as Grafana would."""
    for panel in json.loads((OPS / "grafana.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "10s")
            yield panel["title"], re.sub(r"\$(job|circuit)", ".*", query)


def until(what: Callable[[], Any], why: str, seconds: float = 30.0) -> Any:
    """What it answers once that is something; fails with ``why`` if it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.25)
    raise AssertionError(why)


class Prometheus:
    """Its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        answer = get_json(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def healthy(self) -> dict[str, str]:
        """The jobs that are scraped, each with a problem or an empty text."""
        return {one["labels"]["job"]: one["lastError"] for one in self.get("targets")["activeTargets"]}


class Estate:
    """A registry, two copies of stock, one of orders that calls them, and a Prometheus."""

    def __init__(self, registry: RegistryProcess, prometheus: Prometheus) -> None:
        self.registry = registry
        self.prometheus = prometheus
        self.stocks: list[Process] = []
        #: What was seen while it was ill, for all tests.
        self.states: list[float | None] = []
        self.ill: set[str] = set()

    def pages(self) -> Iterator[tuple[str, str]]:
        """Service and address of everything that is to be scraped."""
        for target in get_json(self.registry.root + TARGETS):
            labels = target["labels"]
            url = f"{labels['__scheme__']}://{target['targets'][0]}{labels['__metrics_path__']}"
            yield labels["__meta_resilient_service"], url

    def tell(self, text: str) -> None:
        """All copies of stock."""
        for one in self.stocks:
            one.tell(text)


def promtool(*arguments: str, text: bytes | None = None) -> str:
    """What promtool complains of; empty for nothing."""
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, timeout=30)
    said = done.stderr.decode()
    return said if done.returncode or arguments[:2] == ("check", "metrics") else ""


def read(url: str, accept: str = "") -> tuple[bytes, str]:
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read(), answer.headers["Content-Type"]


@contextmanager
def estate(folder: Path, patience: str = "") -> Iterator[Estate]:
    """All of it, running. Alerts wait as long as they do, or for ``patience``."""
    assert PROMETHEUS
    with ExitStack() as stack:
        home = stack.enter_context(registry())
        config = (OPS / "prometheus.yml").read_text()
        config = config.replace("http://127.0.0.1:8761", home.root).replace(": 15s", ": 1s")
        (folder / "prometheus.yml").write_text(config)
        for name in ("alerts.yml", "recording.yml"):
            rules = (OPS / name).read_text()
            (folder / name).write_text(
                re.sub(r"for: \d+[mh]", f"for: {patience}", rules) if patience else rules
            )
        server = stack.enter_context(
            Process(
                PROMETHEUS,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                "--web.listen-address=127.0.0.1:0",
                "--log.format=json",
            )
        )
        line = server.line(lambda line: "Listening on" in line)
        server.line(lambda line: "ready to receive" in line)
        found = Estate(home, Prometheus(f"http://{json.loads(line)['address']}"))
        where = {
            "RESILIENT_REGISTRY": home.url,
            "RESILIENT_RENEW_EVERY": "2",
            "RESILIENT_EXPIRE_AFTER": "20",
        }
        for _ in range(2):
            found.stocks.append(stack.enter_context(Process(sys.executable, SERVICE, "stock", **where)))
        stack.enter_context(Process(sys.executable, SERVICE, "orders", "call", **where))
        yield found
