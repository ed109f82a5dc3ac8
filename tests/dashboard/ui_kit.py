"""A source behind the pages' routes, and a reader of their stream."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web

from dashboard.app import mount


class Site:
    """``hub`` is the site's own; ``url`` ends in ``/ui/``."""

    def __init__(self, source, **options):
        self.app = web.Application()
        self.hub = mount(self.app, source, **options)

    async def __aenter__(self):
        self.runner = web.AppRunner(self.app, shutdown_timeout=2)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        host, port = self.runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/ui/"
        self.session = ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"})
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        await self.runner.cleanup()

    async def json(self, path, **options):
        async with self.session.get(self.url + path, **options) as answer:
            assert answer.status == 200, (path, answer.status)
            return json.loads(await answer.read())

    @asynccontextmanager
    async def stream(self, query="", last=""):
        headers = {"Last-Event-ID": last} if last else {}
        async with self.session.get(f"{self.url}stream{query}", headers=headers) as answer:
            assert answer.status == 200
            yield Events(answer)


class Events:
    """The events of one stream, in order."""

    def __init__(self, answer):
        self.answer = answer
        self._lines = answer.content
        self.last = ""

    async def next(self, kind="", within=5.0):
        """The next event (of that kind): its name and data."""
        async with asyncio.timeout(within):
            while True:
                name, data = await self._event()
                if not kind or name == kind:
                    return name, data

    async def until(self, kind, within=5.0):
        """All events up to the next of that kind, which is the last of them."""
        found = []
        async with asyncio.timeout(within):
            while not found or found[-1][0] != kind:
                found.append(await self._event())
        return found

    async def _event(self):
        name, data = "message", None
        while line := await self._lines.readline():
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text[7:]
            elif text.startswith("id: "):
                self.last = text[4:]
            elif text.startswith("data: "):
                data = json.loads(text[6:])
            elif not text and data is not None:
                return name, data
        raise EOFError("the stream has ended")
