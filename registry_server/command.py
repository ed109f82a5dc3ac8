"""``resilient registry``, also ``python -m registry_server``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resilient.admin.beside import mount
from resilient.admin.program import Program, rows_of, site_of, unread
from resilient.errors import ConfigError
from resilient.eureka import json
from resilient.settings import Row
from resilient.telemetry import logs
from resilient.web.trust import is_loopback_name

from .app import RegistryApp, make_app
from .housekeeping import Housekeeper
from .settings import PREFIX, Settings, read_settings

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

#: Open files the process asks for: as many connections as it takes, and some for itself.
_FILES = 16_384

#: Settings that are shown as they are, and paths that the registry answers itself.
_SHOWN = (
    "host", "port", "token", "read_token", "zone", "peers", "peer_wait", "snapshot", "max_instances", "delta",
    "mdns",
)  # fmt: skip
_OWN = ("/health/live", "/health/ready", "/metrics")

_ABOUT = "Run a service registry that speaks Eureka's protocol."
_MORE = """
Each option can be given in the environment: RESILIENT_REGISTRY_HOST, _PORT, _TOKEN, _READ_TOKEN, _ZONE,
_PEERS, _PEER_WAIT, _SNAPSHOT, _MAX_INSTANCES, _DELTA, _MDNS, _RATE_LIMIT, _SELF_PRESERVATION, _STRICT_EUREKA
(the last five on or off).
The first line on standard output is the URL to configure services with. Ctrl-C ends it.
"""


def add(parsers: _Parsers) -> None:
    """Add the ``registry`` sub-command; its default ``run`` takes the arguments and returns the exit code."""
    parser = parsers.add_parser(
        "registry",
        help="run the service registry",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _arguments(parser)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8761; 0: any free one)")
    parser.add_argument("--token", help="require this token for every write and action")
    parser.add_argument("--read-token", help="require this token, or the other one, for reads")
    parser.add_argument("--zone", help="the zone this registry is in")
    parser.add_argument(
        "--peers",
        metavar="URL,...",
        help="other registries, also Netflix's or Spring's, that are told of everything and copied from at "
        "the start; this registry's own URL among them does no harm. Those on other machines take a token: "
        "http://any:TOKEN@host:8761/eureka/",
    )
    parser.add_argument(
        "--peer-wait",
        type=float,
        metavar="SECONDS",
        help="refuse reads for so long at the start while no peer has given its list (default 300)",
    )
    parser.add_argument(
        "--snapshot",
        metavar="PATH",
        help="keep the directory in this file, and begin with it after a restart (default: none)",
    )
    parser.add_argument(
        "--max-instances",
        type=int,
        metavar="N",
        help="take so many instances, a tenth of them (but 10000) in one service (default 100000)",
    )
    parser.add_argument(
        "--no-delta",
        dest="delta",
        action="store_false",
        default=None,
        help="answer 403 to clients that ask for changes only; they then fetch everything",
    )
    parser.add_argument(
        "--no-mdns",
        dest="mdns",
        action="store_false",
        default=None,
        help="do not announce this registry on the local network; one that listens on loopback never is",
    )
    parser.add_argument(
        "--rate-limit",
        action="store_true",
        default=None,
        help="answer at most 500 fetches a second, 100 of them full, 10 at once; the rest get 503. "
        "Callers who name themselves as Eureka's own client or server are let through",
    )
    parser.add_argument(
        "--no-self-preservation",
        dest="self_preservation",
        action="store_false",
        default=None,
        help="remove silent instances also when many fall silent at once",
    )
    parser.add_argument(
        "--strict-eureka",
        dest="strict",
        action="store_true",
        default=None,
        help="keep to habits of Eureka's own server that are usually in the way: instances are removed two "
        "lease durations after their last heartbeat, not one; a registration that comes late, after the "
        "instance has signed out, registers it again; metadata set through the registry is lost at the "
        "next registration; an override that equals the status is not recorded",
    )
    parser.add_argument("--json", action="store_true", help='print the URL as {"url": ...}')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM. 0 after a clean end, 2 if it cannot start."""
    try:
        settings = read_settings(
            host=args.host,
            port=args.port,
            token=args.token,
            read_token=args.read_token,
            zone=args.zone,
            peers=args.peers,
            peer_wait=args.peer_wait,
            delta=args.delta,
            rate_limit=args.rate_limit,
            self_preservation=args.self_preservation,
            strict_eureka=args.strict,
            mdns=args.mdns,
            snapshot=args.snapshot,
            max_instances=args.max_instances,
        )
    except ConfigError as error:
        return _fail(str(error))
    logs.configure()
    try:
        return _run(_serve(settings, vars(args), as_json=args.json))
    except KeyboardInterrupt:
        return 0


async def _serve(settings: Settings, given: Mapping[str, object], *, as_json: bool) -> int:
    _more_files()
    registry = make_app(settings)
    desk = _mount_admin(registry, given)
    keeper = Housekeeper(registry.registry, lambda: registry.board.placed)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await registry.start()
    except OSError as error:
        return _fail(_why(error, settings))
    keeper.start()
    desk.loops.watch("registry")
    try:
        _announce(registry, as_json=as_json)
        await stop.wait()
    finally:
        keeper.stop()
        await registry.stop()
    return 0


def _mount_admin(registry: RegistryApp, given: Mapping[str, object]) -> Program:
    """The admin pages beside the registry's own, for those who have its tokens."""
    settings = registry.settings
    names = {**dict.fromkeys(_SHOWN), "rate_limit": None, "self_preservation": None, "strict_eureka": None}
    wide = not is_loopback_name(settings.host) and not settings.token

    def rows() -> list[Row]:
        values: dict[str, object] = {name: getattr(settings, name) for name in _SHOWN}
        values["peers"] = ",".join(one.url for one in settings.peers)
        values["rate_limit"] = settings.rates is not None
        values["self_preservation"] = settings.preservation.enabled
        values["strict_eureka"] = settings.strict
        return rows_of(values, {**given, "strict_eureka": given.get("strict")}, os.environ, PREFIX)

    def parts() -> dict[str, dict[str, object]]:
        node = registry.views.node()
        found: dict[str, dict[str, object]] = {
            "registry": {"status": "DEGRADED" if node["warnings"] else "UP", "warnings": node["warnings"]}
        }
        if peers := [one for one in registry.cluster.peers if not one.itself]:
            away = [one.address.url for one in peers if not one.well]
            found["peers"] = {"status": "DEGRADED" if away else "UP", "away": away}
        return found

    desk = Program(
        "resilient-registry",
        zone=settings.zone,
        rows=rows,
        unknown=unread(os.environ, names, PREFIX),
        ready=lambda: registry.listener is not None and registry.cluster.ready,
        parts=parts,
        open_to=settings.host if wide else "",
        clock=registry.registry.clock,
    )
    mount(registry.app, site_of(desk, registry.trust, without=_OWN))
    return desk


def _more_files() -> None:
    """Every reader of the feed is an open file, and the usual limit of 1,024 is meant for other programs."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _announce(registry: RegistryApp, *, as_json: bool) -> None:
    line = json.dump({"url": registry.url}).decode() if as_json else registry.url
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _why(error: OSError, settings: Settings) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is taken, perhaps by another registry; choose another with --port, or --port 0 for any"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} may not be used by this user; choose a port above 1023 with --port"
    return f"cannot listen on {where}: {error.strerror or error}"


def _fail(reason: str) -> int:
    sys.stderr.write(f"resilient registry: {reason}\n")
    return 2


def _run(main: Coroutine[Any, Any, int]) -> int:
    """On uvloop if it is there: it takes about twice the heartbeats."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m registry_server``."""
    parser = argparse.ArgumentParser(
        prog="resilient registry",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _arguments(parser)
    args = parser.parse_args(argv)
    return int(args.run(args))


#: What the ``resilient.commands`` entry point names.
command = add
