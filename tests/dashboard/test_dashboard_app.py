"""The pages, their files and what is written into them."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from seeded_source import SeededSource
from ui_kit import Site

from dashboard.files import Files


@pytest.fixture
def source():
    return SeededSource(services=4, circuits=5, past=2)


def boot_of(page):
    (text,) = re.findall(r'<script type="application/json" id="boot">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


async def test_page_and_every_file_it_names(source):
    async with Site(source) as site:
        async with site.session.get(site.url) as response:
            page = await response.text()
            assert response.status == 200
            assert response.headers["Cache-Control"] == "no-cache"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        names = re.findall(r'(?:href|src)="(@\w+/\w[^"]+)"', page)
        assert len(names) > 5
        for name in names:
            async with site.session.get(site.url + name, headers={"Accept-Encoding": "gzip"}) as response:
                assert response.status == 200, name
                assert "immutable" in response.headers["Cache-Control"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                gzip.decompress(await response.read())
                tag = response.headers["ETag"]
            async with site.session.get(site.url + name, headers={"If-None-Match": tag}) as response:
                assert response.status == 304


@pytest.mark.parametrize(
    ("path", "up"),
    [
        ("", ""),
        ("nodes", ""),
        ("changes", ""),
        ("circuits", ""),
        ("topology", ""),
        ("api", ""),
        ("services/orders", "../"),
        ("circuits/a%2Fb%3Ac", "../"),
        ("circuits/a/b:c", "../../"),
    ],
)
async def test_every_page_finds_its_files_from_where_it_is(source, path, up):
    async with Site(source) as site, site.session.get(site.url + path) as response:
        page = await response.text()
        assert response.status == 200
        assert f'src="{up}@{Files().version}/app/main.js"' in page
        assert boot_of(page)["hello"]["roles"] == ["reader"]


async def test_the_first_picture_comes_with_the_page(source):
    async with Site(source) as site:
        async with site.session.get(site.url) as response:
            boot = boot_of(await response.text())
        assert [row["n"] for row in boot["services"]["rows"]] == [row["name"] for row in source.rows]
        assert boot["totals"]["total"] == sum(len(row["instances"]) for row in source.rows)
        async with site.session.get(site.url + "circuits", headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            boot = boot_of(gzip.decompress(await response.read()).decode())
        assert len(boot["circuits"]["rows"]) == len(boot["c"]) == 5


async def test_names_that_look_like_markup_stay_inside_the_boot_text(source):
    evil = "</script><script>alert(1)</script><!-- \u2028 &"
    source.rows[0]["name"] = evil
    async with Site(source) as site, site.session.get(site.url) as response:
        page = await response.text()
        assert "<script>alert" not in page
        assert "\u2028" not in page
        assert boot_of(page)["services"]["rows"][0]["n"] == evil


def test_there_is_nothing_inline_in_the_page_or_its_modules():
    files = Files(built=False)
    for page in (files.page(0, b"{}").decode(), Files().page(0, b"{}").decode()):
        scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page)
        assert scripts == ['<script type="application/json" id="boot">']
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    for name in files:
        text = files[name].plain.decode()
        if name.endswith(".js") and not name.startswith("vendor/"):
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
        "services/",
        "nothing",
    ],
)
async def test_only_what_is_there_is_there(source, path):
    async with Site(source) as site:
        url = site.url + path.format(v=Files().version)
        async with site.session.get(url) as response:
            assert response.status == 404


def test_without_its_libraries_it_says_how_to_get_them(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "index.html").write_text("<head></head>")
    (tmp_path / "app" / "main.js").write_text("import { html } from '../vendor/lit-html/lit-html.js';\n")
    with pytest.raises(FileNotFoundError, match=r"lit-html\.js; run python3 tools/vendor_ui\.py"):
        Files(tmp_path)


async def test_the_address_without_slash_leads_to_the_page(source):
    async with Site(source) as site, site.session.get(site.url.rstrip("/")) as response:
        assert response.status == 200
        assert response.url.path == "/ui/"


async def test_who_may_not_read_sees_the_files_only(source):
    async with Site(source, allow=lambda request: 401) as site:
        for path in ("", "circuits", "stream", "data/services", "data/changes"):
            async with site.session.get(site.url + path) as response:
                assert response.status == 401, path
                assert response.headers["WWW-Authenticate"].startswith("Basic")
                assert "orders" not in await response.text()
            # A page's own script asks with a token: no window of the browser should come up.
            headers = {"Authorization": "Bearer wrong"}
            async with site.session.get(site.url + path, headers=headers) as response:
                assert response.status == 401
                assert "WWW-Authenticate" not in response.headers
        async with site.session.get(f"{site.url}@{Files().version}/app/main.js") as response:
            assert response.status == 200
