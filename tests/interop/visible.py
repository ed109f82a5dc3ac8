"""How long until each client sees a new instance, and no longer one that signed out: python visible.py

Every client runs with its own default settings, and once with the shorter intervals that people give it,
at our registry and at Netflix's: as that comes, and without its cache of answers. Instances are registered
at moments spread over the clients' intervals; the time runs from the answer to the registration (or to the
sign-out) until the client's own list shows it. Prints tables as docs/compatibility.md has them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # build and install what is missing, as make test-interop does
    os.environ.setdefault("INTEROP", "full")
    sys.path.insert(0, str(Path(__file__).parents[1]))

from interop_kit import eureka_server, eureka_url, http, java_missing, our_registry
from process_kit import until
from watchers import CLIENTS, SERVICE, Client, Watcher

#: What the tests' Netflix server is told otherwise (see its application.properties), as it is by default.
_AS_IT_COMES = {
    "eureka__server__use_read_only_response_cache": "true",
    "eureka__server__enable_self_preservation": "true",
    "eureka__server__eviction_interval_timer_in_ms": "60000",
}


# ---- servers


def _server(stack: ExitStack, name: str) -> str:
    if name == "ours":
        return stack.enter_context(our_registry())
    changes = {"eureka__server__use_read_only_response_cache": "false"} if name == "uncached" else {}
    return eureka_url(stack.enter_context(eureka_server(**_AS_IT_COMES | changes)))


#: By the name that chooses it: the head of its column.
SERVERS = {
    "ours": "our registry",
    "netflix": "Netflix's server",
    "uncached": "the same, `use-read-only-response-cache=false`",
}


# ---- measuring


@dataclass(frozen=True)
class Plan:
    """``samples`` instances come ``apart`` seconds after each other, and each signs out after ``stay``.

    Whoever does not know it ``patience`` seconds after the last one's sign-out never will.
    """

    samples: int
    apart: float
    stay: float
    patience: float

    @property
    def seconds(self) -> float:
        return (self.samples - 1) * self.apart + self.stay + self.patience

    def moments(self) -> list[tuple[float, str, int]]:
        came = [(number * self.apart, "POST", number) for number in range(self.samples)]
        return sorted(came + [(at + self.stay, "DELETE", number) for at, _, number in came])


#: The spacing is no divisor of anybody's interval, so that the samples meet it at twenty different places.
#: The slowest sees a change after 30 s of the server's cache, 30 s of the client's interval and 35 s of its
#: balancer's.
LONG = Plan(samples=20, apart=6.1, stay=100.0, patience=100.0)
#: The server's cache and a client's interval are both 30 s by default: how the two lie to each other stays as
#: it was when the client started, so that one client shows one case only. There, three start one by one.
COPIES, COPIES_APART = 3, 10.0


@dataclass
class Cell:
    """Seconds for each of the samples that was seen, in one client (or its copies) at one server."""

    server: str
    client: str
    setting: str
    every: int | None
    samples: int
    new: list[float]
    gone: list[float]


@dataclass(frozen=True)
class Watched:
    server: str
    client: Client
    every: int | None
    watcher: Watcher


def _id(number: int) -> str:
    return f"127.0.0.1:{SERVICE}:{7100 + number}"


def _registration(number: int) -> bytes:
    data_centre = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}
    instance = {
        "instanceId": _id(number),
        "hostName": "127.0.0.1",
        "ipAddr": "127.0.0.1",
        "app": SERVICE.upper(),
        "vipAddress": SERVICE,
        "secureVipAddress": SERVICE,
        "status": "UP",
        "port": {"$": 7100 + number, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "dataCenterInfo": data_centre,
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 900},  # longer than all of it
        "metadata": {"zone": "here"},
    }
    return json.dumps({"instance": instance}).encode()


def measure(plan: Plan, urls: dict[str, str], watched: Sequence[Watched]) -> list[Cell]:
    """Registers and signs out by the plan at all servers; what the watchers made of it."""
    answered: dict[tuple[str, str, int], float] = {}
    began = time.monotonic()
    for at, method, number in plan.moments():
        time.sleep(max(0.0, began + at - time.monotonic()))
        for server, url in urls.items():
            path, body, expected = f"{url}apps/{SERVICE.upper()}", None, 204
            headers = {"Content-Type": "application/json"}
            if method == "POST":
                body = _registration(number)
            else:
                path, headers, expected = f"{path}/{_id(number)}", {}, 200
            status = http(method, path, body, headers)[0]
            assert status == expected, f"{server} answered {status} to {method} {path}"
            answered[server, method, number] = time.monotonic()

    def keys(one: Watched) -> Iterator[tuple[str, str]]:
        return ((by, _id(number)) for by in one.client.rows for number in range(plan.samples))

    def all_gone() -> bool:
        return all(key in one.watcher.went for one in watched for key in keys(one))

    try:
        until(all_gone, plan.patience, every=0.1)
    except AssertionError:
        pass  # the table tells how many were not seen
    cells: dict[tuple[str, str, int | None], Cell] = {}
    for one in watched:
        for by, suffix in one.client.rows.items():
            client = f"{one.client.name}{suffix}"
            empty = Cell(one.server, client, _setting(one.client, by, one.every), one.every, 0, [], [])
            cell = cells.setdefault((one.server, client, one.every), empty)
            cell.samples += plan.samples
            for noted, method, delays in (
                (one.watcher.came, "POST", cell.new),
                (one.watcher.went, "DELETE", cell.gone),
            ):
                for number in range(plan.samples):
                    if (by, _id(number)) in noted:
                        # A client that is told at once may know before we have read the answer.
                        delay = noted[by, _id(number)] - answered[one.server, method, number]
                        delays.append(max(0.0, delay))
    return list(cells.values())


def _setting(client: Client, by: str, every: int | None) -> str:
    if every is None:
        return f"{client.default} + 35 s" if by == "balancer" else client.default
    setting = client.setting if every == client.shorter else f"{every} s"
    return f"{setting}, `cache.ttl={every}s`" if by == "balancer" else setting


def run(plan: Plan, servers: Iterable[str], clients: Iterable[tuple[Client, int | None]]) -> list[Cell]:
    """Starts the servers, and each client with each of its intervals at each of them; then measures."""
    pairs = list(clients)
    with ExitStack() as stack:
        urls = {name: _server(stack, name) for name in servers}
        watched: list[Watched] = []
        for copy in range(COPIES):
            more = [
                (server, client, every)
                for server in urls
                for client, every in pairs
                if not copy or (server == "netflix" and every is None)
            ]
            if copy and more:
                time.sleep(COPIES_APART)
            started = []
            for server, client, every in more:
                watcher = client.start(urls[server], every)
                stack.enter_context(watcher)
                started.append(Watched(server, client, every, watcher))
            for one in started:
                one.watcher.watching()
            watched += started
        return measure(plan, urls, watched)


# ---- telling


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    return f"{seconds:.1f} s"


def _told(delays: list[float], samples: int) -> str:
    if not delays:
        return "never"
    words = f"{_time(statistics.median(delays))} / {_time(max(delays))}"
    return words if len(delays) == samples else f"{words} ({samples - len(delays)} of {samples} never)"


def table(cells: list[Cell], servers: Sequence[str], what: str) -> str:
    """One Markdown table; ``what`` is ``new`` or ``gone``."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for cell in cells:
        told = _told(getattr(cell, what), cell.samples)
        rows.setdefault((cell.client, cell.setting), {})[cell.server] = told
    lines = [
        " | ".join(("| client", "settings", *(SERVERS[name] for name in servers))) + " |",
        "|" + "---|" * (2 + len(servers)),
    ]
    lines += [
        " | ".join((f"| {client}", setting, *(found.get(name, "") for name in servers))) + " |"
        for (client, setting), found in rows.items()
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="few samples, shorter intervals only: a look")
    parser.add_argument("--server", action="append", choices=tuple(SERVERS), help="may be repeated")
    parser.add_argument("--client", action="append", choices=[one.name for one in CLIENTS])
    parser.add_argument("--json", action="store_true", help="all samples as JSON instead of tables")
    options = parser.parse_args(argv)
    servers = options.server or list(SERVERS)
    if any(name != "ours" for name in servers) and (why := java_missing()):
        print(f"left out, Netflix's server: {why}", file=sys.stderr)
        servers = [name for name in servers if name == "ours"]
    pairs: list[tuple[Client, int | None]] = []
    for client in CLIENTS:
        if options.client and client.name not in options.client:
            continue
        if why := client.missing():
            print(f"left out, {client.name}: {why}", file=sys.stderr)
            continue
        pairs += [(client, client.shorter)] if options.short else [(client, None), (client, client.shorter)]
    if not (servers and pairs):
        return 1
    plan = Plan(samples=5, apart=1.7, stay=50.0, patience=50.0) if options.short else LONG
    print(
        f"{len(pairs)} clients at each of {len(servers)} servers, {plan.samples} instances:"
        f" at most {plan.seconds / 60:.0f} minutes, and a minute or two to start all",
        file=sys.stderr,
    )
    cells = run(plan, servers, pairs)
    if options.json:
        print(json.dumps([cell.__dict__ for cell in cells], indent=1))
        return 0
    print("a new instance is seen after (median / longest)\n")
    print(table(cells, servers, "new"))
    print("\none that signed out is no longer listed after\n")
    print(table(cells, servers, "gone"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
