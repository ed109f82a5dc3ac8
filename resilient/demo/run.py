"""``resilient demo``: a registry, a shop of five services in several copies, a load, and the live page."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import time

import aiohttp
from rich.console import Console

from ..aiohttp.client import make_session
from ..runtime import Runtime
from ..settings import Settings
from .chaos import Chaos
from .children import Child, Children
from .load import Load
from .shop import COPIES
from .verdict import Verdict, judge
from .watch import Watch

#: Faster than production, so that what happens can be watched.
_PACE = {
    "RESILIENT_FETCH_INTERVAL": "1",
    "RESILIENT_RENEW_EVERY": "5",
    "RESILIENT_EXPIRE_AFTER": "15",
    "RESILIENT_PUSH_INTERVAL": "1",
}


def add(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``demo`` to the command line."""
    parser = parsers.add_parser(
        "demo",
        help="a registry, a shop of services, a load and the live page, in one terminal",
        description="Runs the main job on real input and prints the URL to open. Ctrl-C ends everything.",
    )
    parser.add_argument("--chaos", action="store_true", help="break things in turn and tell what happened")
    parser.add_argument("--seconds", type=float, help="end by itself after so many seconds")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second (default 40)")
    parser.add_argument("--port", type=int, default=8761, help="the registry's port; a free one if taken")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 if it did what it shows."""
    console = Console(stderr=args.json, highlight=False)
    try:
        verdict = asyncio.run(Demo(args, console).run())
    except KeyboardInterrupt:
        return 130
    if args.json:
        print(json.dumps(verdict.as_dict()))  # noqa: T201
    else:
        verdict.show(console)
    return 0 if verdict.good else 1


class Demo:
    """One run of the demo."""

    def __init__(self, args: argparse.Namespace, console: Console) -> None:
        self._args = args
        self._console = console
        self._began = time.monotonic()
        self._children = Children({})

    def say(self, text: str) -> None:
        """One line of the story, with the second it happened in."""
        passed = time.monotonic() - self._began
        self._console.print(f"[dim]{passed:6.1f}s[/dim]  {text}", soft_wrap=True)

    async def run(self) -> Verdict:
        """Start all, watch, end all."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        try:
            return await self._play(stopped)
        finally:
            await self._children.end()

    async def _play(self, stopped: asyncio.Event) -> Verdict:
        url = await self._registry()
        environ = {**os.environ, **_PACE, "RESILIENT_REGISTRY": url}
        self._children.environ = environ
        await asyncio.gather(*(self._copy(name) for name, n in COPIES.items() for _ in range(n)))
        settings = Settings.load(environ, service="visitors")
        page = url.split("/eureka")[0] + "/"
        async with Runtime(settings=settings), make_session() as named, aiohttp.ClientSession() as plain:
            watch = Watch(plain, url)
            load = Load(named, self._args.rate)
            tasks = [asyncio.create_task(watch.run())]
            try:
                copies = sum(COPIES.values())
                there = await watch.until(lambda: watch.count() >= copies, 20)
                self.say(f"{len(COPIES)} services in {watch.count()} copies are registered")
                self._console.print(f"\n        Open  [b cyan]{page}[/b cyan]\n")
                if not there:
                    self.say(f"[red]only {watch.count()} of {copies} copies registered[/red]")
                await asyncio.sleep(2 * settings.fetch_interval)  # until everybody has read of everybody
                tasks.append(asyncio.create_task(load.run()))
                self.say(f"{self._args.rate:g} requests a second go through the front")
                if self._args.chaos:
                    chaos = Chaos(self._children, watch, plain, self.say, self._copy)
                    tasks.append(asyncio.create_task(chaos.run()))
                if self._args.seconds is None:
                    self._console.print("        [dim]Ctrl-C ends it and leaves nothing behind[/dim]")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), self._args.seconds)
                tasks[1].cancel()
                await asyncio.gather(tasks[1], return_exceptions=True)
                return await judge(load, watch, plain, chaos=self._args.chaos)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _registry(self) -> str:
        self._children.environ = dict(os.environ)
        port = self._args.port if _free(self._args.port) else 0
        child = await self._children.start(
            "registry", "-m", "resilient.demo.lifeline", "registry", "--port", str(port), "--json"
        )
        url = str(json.loads(await child.first_line())["url"])
        self.say(f"registry at {url}")
        return url

    async def _copy(self, name: str) -> Child:
        child = await self._children.start(name, "-m", "resilient.demo.shop", name)
        await child.first_line()
        return child


def _free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
