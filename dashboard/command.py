"""``resilient dashboard``: the pages in a process of their own, for a registry somewhere else."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from resilient.admin import beside as admin
from resilient.admin.program import Program, site_of
from resilient.admin.site import token_of
from resilient.cli.parser import common, settings_of
from resilient.discovery.locate import locate
from resilient.errors import ConfigError
from resilient.eureka import json
from resilient.runtime import Runtime
from resilient.settings import RegistryAddress, Settings
from resilient.telemetry import logs
from resilient.web.guard import Guard
from resilient.web.server import listen
from resilient.web.trust import Trust, is_loopback_address

from .app import mount
from .eureka import EurekaSource
from .proxy import Proxy

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

PORT = 7979
_QUICK = aiohttp.ClientTimeout(total=5.0)
_ABOUT = "Serve the pages of a registry from here. Its own are at /ui/ of the registry itself."


def command(parsers: _Parsers) -> None:
    """Add the ``dashboard`` sub-command."""
    parser = parsers.add_parser("dashboard", help="the web pages, separate", description=_ABOUT)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"port to listen on (default {PORT}; 0: any free one)"
    )
    common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM."""
    settings = settings_of(args)
    if not 0 <= args.port <= 65535:
        raise ConfigError("--port must be from 0 to 65535")
    logs.configure()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_serve(settings, args.host, args.port, as_json=args.json))
    return 0


async def _serve(settings: Settings, host: str, port: int, *, as_json: bool) -> int:
    located = await locate(settings)
    address = located.addresses[0]
    app = await make_app(address, settings, wide=not is_loopback_address(host) and host != "localhost")
    desk = mount_admin(app, settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        listener = await listen(app, host, port, guard=Guard(content_types=None))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another port with --port"
        ) from None
    desk.loops.watch("dashboard")
    url = f"{listener.url}/ui/"
    sys.stdout.write((json.dump({"url": url}).decode() if as_json else url) + "\n")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        await listener.close()
    return 0


def mount_admin(app: web.Application, settings: Settings) -> Program:
    """The admin pages, beside the others: what they reveal takes the admin token, or the registry's."""
    desk = Program("resilient-dashboard", runtime=Runtime(settings=settings))
    admin.mount(app, site_of(desk, Trust(token_of(settings))))
    return desk


async def make_app(address: RegistryAddress, settings: Settings, *, wide: bool) -> web.Application:
    """The pages for this registry: all of them for one of ours, the directory for any other."""
    app = web.Application()
    app.router.add_get("/", _front)
    pages = URL(address.root + "/ui/")
    if await _has_pages(pages):
        Proxy(pages, wide=wide).mount(app)
        return app
    source = EurekaSource(address, settings)
    mount(app, source, watch=source, features=("registry",))

    async def life(_: web.Application) -> None:
        await source.close()

    app.on_cleanup.append(life)
    return app


async def _has_pages(pages: URL) -> bool:
    """Whether it is one of ours with pages. One that does not answer yet is taken for one."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_QUICK, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(pages / "data" / "boot", allow_redirects=False) as answer,
        ):
            return answer.status in (200, 401, 429)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return True


async def _front(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "ui/"})
