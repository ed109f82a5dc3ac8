from __future__ import annotations

import asyncio
import gzip
import json
import re

import pytest
from aiohttp import ClientSession, web
from seeded_source import SeededSource

from dashboard.app import mount
from dashboard.feed import BEHIND, Feed
from dashboard.files import Files
from resilient.clock import SYSTEM


@pytest.fixture
def source():
    return SeededSource(services=4, circuits=5, past=2)


class Site:
    def __init__(self, source, **options):
        self.app = web.Application()
        mount(self.app, source, **options)

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


async def events(response, n):
    found, kind = [], ""
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            kind = text[7:]
        elif text.startswith("data: "):
            found.append((kind, json.loads(text[6:])))
            if len(found) == n:
                break
    return found


async def test_page_and_every_file_it_names(source):
    async with Site(source) as site:
        async with site.session.get(site.url) as response:
            page = await response.text()
            assert response.status == 200
            assert response.headers["Cache-Control"] == "no-cache"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            tag = response.headers["ETag"]
        async with site.session.get(site.url, headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        names = re.findall(r'(?:href|src)="(@[^"]+)"', page)
        assert len(names) > 15
        for name in names:
            async with site.session.get(site.url + name, headers={"Accept-Encoding": "gzip"}) as response:
                assert response.status == 200, name
                assert "immutable" in response.headers["Cache-Control"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert gzip.decompress(await response.read())
        for view in ("circuits", "changes"):
            async with site.session.get(site.url + view) as response:
                assert await response.text() == page


def test_there_is_nothing_inline_in_the_page_or_its_modules():
    files = Files()
    page = files.page.plain.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", page)
    for name in files:
        text = files[name].plain.decode()
        if name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), (
                name
            )


@pytest.mark.parametrize(
    "path",
    [
        "@{v}/app.py",
        "@{v}/../app.py",
        "@{v}/%2e%2e/app.py",
        "@{v}/index.html",
        "@000000000000/app/main.js",
        "@{v}/",
    ],
)
async def test_only_the_fixed_files_are_there(source, path):
    async with Site(source) as site:
        url = site.url + path.format(v=Files().version)
        async with site.session.get(url) as response:
            assert response.status == 404


async def test_the_address_without_slash_leads_to_the_page(source):
    async with Site(source) as site, site.session.get(site.url.rstrip("/")) as response:
        assert response.status == 200
        assert response.url.path == "/ui/"


async def test_the_stream_starts_whole_and_goes_on_with_differences(source):
    async with Site(source, interval=0.05) as site, site.session.get(site.url + "stream") as response:
        assert response.content_type == "text/event-stream"
        (kind, whole), *_ = await events(response, 1)
        assert kind == "all"
        assert len(whole["circuits"]) == 5
        assert whole["ui"] == Files().version
        source.rows[0]["instances"][0]["status"] = "STARTING"
        for kind, tick in await events(response, 5):
            assert kind == "tick"
            if "instances" in tick:
                assert tick["instances"][0]["status"] == "STARTING"
                break
        else:
            pytest.fail("the change never came")


async def test_the_source_is_asked_only_while_somebody_looks(source):
    asked = 0
    circuits = source.circuits

    def counting():
        nonlocal asked
        asked += 1
        return circuits()

    source.circuits = counting
    async with Site(source, interval=0.02) as site:
        await asyncio.sleep(0.1)
        assert asked == 0
        responses = [await site.session.get(site.url + "stream") for _ in range(3)]
        for response in responses:
            await events(response, 3)
        for response in responses:
            response.close()
        while True:
            before = asked
            await asyncio.sleep(0.2)
            if asked == before:
                break
        # Three readers shared every question: one to begin with, and one per turn.
        assert asked < 30


async def test_who_may_not_look_sees_nothing(source):
    async with Site(source, allow=lambda request: 0 if "Authorization" in request.headers else 401) as site:
        for path in ("", "circuits", "stream"):
            async with site.session.get(site.url + path) as response:
                assert response.status == 401
                assert "Basic" in response.headers["WWW-Authenticate"]
                assert await response.text() == "Not allowed.\n"
        async with site.session.get(site.url + "stream", headers={"Authorization": "x"}) as response:
            assert response.status == 200


async def test_stopping_ends_the_streams_properly(source):
    async with Site(source, interval=0.05) as site:
        response = await site.session.get(site.url + "stream")
        await events(response, 1)
        stopping = asyncio.get_running_loop().create_task(site.runner.cleanup())
        async with asyncio.timeout(3):
            rest = await response.read()
            await stopping
        assert rest.endswith(b"\n")


async def test_readers_are_bounded_and_slow_ones_start_again(source):
    feed = Feed(source, SYSTEM, version="x", interval=60, most=2)
    one, two = feed.join(), feed.join()
    assert feed.join() is None
    assert (await one.next(feed)).startswith(b"event: all")
    for n in range(BEHIND):
        one.offer(b"%d" % n)
    assert await one.next(feed) == b"0"
    one.offer(b"last one that fits")
    one.offer(b"one too many")
    assert (await one.next(feed)).startswith(b"event: all")
    feed.leave(two)
    assert feed.join() is not None
    await feed.close()
    assert await one.next(feed) is None
    assert feed.join() is None


async def test_a_source_that_fails_is_said_and_survived(source, caplog):
    services = source.services

    def broken():
        raise RuntimeError("no")

    async with Site(source, interval=0.05) as site, site.session.get(site.url + "stream") as response:
        await events(response, 1)
        source.services = broken
        ticks = await events(response, 3)
        assert any("trouble" in tick for _, tick in ticks)
        source.services = services
        ticks = await events(response, 4)
        assert "trouble" not in ticks[-1][1]
