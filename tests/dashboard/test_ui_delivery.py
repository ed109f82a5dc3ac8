"""How the pages reach a browser: how much that is, what is asked for, and that nothing is stale."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from seeded_source import SeededSource
from ui_browser import needs_chromium, playwright
from ui_kit import Site

from dashboard.app import PAGES
from dashboard.files import Files

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "dashboard" / "static"
sys.path.insert(0, str(ROOT / "tools"))
import bundle_ui  # noqa: E402
import vendor_ui  # noqa: E402

expect = playwright.expect
#: What is there now; and the same as it was written.
FILES, SOURCES = Files(), Files(built=False)
needs_bundle = pytest.mark.skipif(
    not FILES.built, reason="no bundle of these sources (python3 tools/vendor_ui.py makes it, with npm)"
)
in_module = pytest.mark.asyncio(loop_scope="module")


def size(names, files=FILES):
    return sum(len(files[name].packed) for name in names if name.endswith((".js", ".css")))


# --- how much


@needs_bundle
def test_all_that_browsers_load_is_less_than_100_kb():
    assert size(FILES) < 100_000


@needs_bundle
@pytest.mark.parametrize(("view", "most"), [("services", 50_000), *((one, 60_000) for one in PAGES.values())])
def test_the_first_page_is_less_than_50_kb(view, most):
    page = FILES.page(0, b"{}", view).decode()
    names = [name for name in re.findall(r'(?:href|src)="@\w+/([^"]+)"', page) if name in FILES]
    assert f"app/{view}.js" in names
    # With the page itself, and nothing of other pages.
    assert size(set(names)) + len(gzip.compress(page.encode(), 9)) < most
    others = {f"app/{one}.js" for one in PAGES.values()} - {f"app/{view}.js"}
    assert not others & set(names)


@needs_bundle
def test_every_file_is_packed_once_and_as_small_as_gzip_can():
    for name in FILES:
        assert gzip.decompress(FILES[name].packed) == FILES[name].plain
        assert len(FILES[name].packed) <= len(gzip.compress(FILES[name].plain, 9))


# --- never stale


@pytest.fixture
def static(tmp_path):
    return Path(shutil.copytree(STATIC, tmp_path / "static", ignore=shutil.ignore_patterns(".*")))


@needs_bundle
def test_an_edit_needs_no_build(static, caplog):
    assert Files(static).built
    assert not caplog.records
    for name in ("app/fmt.js", "css/base.css", "index.html"):
        before = (static / name).read_bytes()
        (static / name).write_bytes(before + b"\n")
        with caplog.at_level(logging.WARNING):
            edited = Files(static)
        assert not edited.built
        assert name == "index.html" or edited[name].plain == before + b"\n"
        assert "served as it was written" in caplog.text
        assert edited.version == Files(static, built=False).version
        caplog.clear()
        (static / name).write_bytes(before)
        assert Files(static).built
    (static / "app" / "more.js").write_text("export const more = 1;\n")
    assert not Files(static).built


@needs_bundle
def test_a_bundle_that_is_not_whole_is_none(static):
    kit = static / "dist" / "app" / "kit.js"
    kit.write_bytes(kit.read_bytes() + b"\n")
    assert not Files(static).built
    kit.unlink()
    assert not Files(static).built
    (static / "dist" / "bundle.lock").write_text("[]")
    assert not Files(static).built
    shutil.rmtree(static / "dist")
    assert "app/fmt.js" in Files(static).modules("services")


def test_without_npm_the_sources_have_to_do(monkeypatch, static):
    def nowhere():
        raise vendor_ui.Missing("npm could not be had")

    shutil.rmtree(static / "dist", ignore_errors=True)
    monkeypatch.setattr(vendor_ui, "fetched", nowhere)
    (said,) = vendor_ui.ensure(static / "vendor")
    assert "not bundled" in said
    assert "npm could not be had" in said
    shutil.rmtree(static / "vendor")
    with pytest.raises(vendor_ui.Missing):
        vendor_ui.ensure(static / "vendor")


@pytest.mark.parametrize(
    ("text", "small"),
    [
        ("a  b ,\n c { color : red ; }\n", "a b,c{color :red}"),
        ("/* no */ a { }\n\n b:hover{x:y}", "a{}b:hover{x:y}"),
        ('a::before { content: " a ; /* b */ { \' "; }', 'a::before{content:" a ; /* b */ { \' "}'),
        ("a { width: calc(1px + 2px); }", "a{width:calc(1px + 2px)}"),
        ("a :is(b, c) > d { --x: 1 }", "a :is(b,c) > d{--x:1}"),
    ],
)
def test_styles_keep_what_means_something(text, small):
    assert bundle_ui.css(text) == small


def test_vendored_files_are_those_of_the_lock():
    assert vendor_ui.complete()
    lock = json.loads((STATIC / "vendor" / "vendor.lock").read_text())
    there = {path.relative_to(STATIC / "vendor").as_posix() for path in (STATIC / "vendor").rglob("*.*")}
    assert there == {*lock["files"], "vendor.lock"}
    asked = json.loads((ROOT / "dashboard" / "package.json").read_text())
    licenses = (STATIC / "vendor" / "LICENSES.txt").read_text()
    for name, version in asked["dependencies"].items():
        assert f"{name} {version}\n" in licenses
    # Every version is one version.
    every = {**asked["dependencies"], **asked["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in every.values())


@pytest.mark.skipif(os.environ.get("UI") != "full", reason="builds a wheel; make test-ui runs it")
@pytest.mark.timeout(600)
async def test_from_a_wheel_in_an_environment_of_its_own(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "dashboard/static/app/main.js" in names
    assert "dashboard/static/vendor/LICENSES.txt" in names
    assert "dashboard/static/dist/LICENSES.txt" in names
    assert not any("node_modules" in name for name in names)

    venv.create(tmp_path / "own", symlinks=True)
    python = tmp_path / "own" / "bin" / "python"
    run = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(run, check=True)
    # What it depends on is lent by this environment; what was installed for editing is not (it is named in a
    # .pth file, which counts in an environment's own folder only).
    (own,) = (tmp_path / "own").glob("lib/python*/site-packages")
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import dashboard; print(dashboard.__file__)"
    where = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert where.stdout.startswith(str(tmp_path)), where.stderr
    program = await asyncio.create_subprocess_exec(
        tmp_path / "own" / "bin" / "resilient", "registry", "--port", "0", "--json",
        stdout=asyncio.subprocess.PIPE, cwd=tmp_path, env=env,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60), ClientSession() as session:
            while not (line := await program.stdout.readline()).startswith(b'{"url"'):
                assert line, "it ended"
            url = json.loads(line)["url"].removesuffix("/eureka/")
            async with session.get(f"{url}/ui/") as answer:
                page = await answer.text()
            assert f"@{FILES.version}/" in page or not FILES.built
            links = re.findall(r'(?:href|src)="(@\w+/\w[^"]+)"', page)
            assert len(links) > 3
            for link in links:
                async with session.get(f"{url}/ui/{link}") as answer:
                    assert answer.status == 200
    finally:
        program.terminate()
        await program.wait()


@needs_bundle
def test_the_licences_go_with_the_bundle():
    assert FILES["LICENSES.txt"].plain == (STATIC / "vendor" / "LICENSES.txt").read_bytes()


# --- what a browser asks for


@asynccontextmanager
async def site(built=True):
    """The real pages, and what was asked of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.app.Files", lambda: FILES if built else SOURCES)
        one = Site(SeededSource(services=4, circuits=5, past=2))
    asked = []

    @web.middleware
    async def count(request, handler):
        asked.append(request.rel_url.raw_path.removeprefix("/ui/"))
        return await handler(request)

    one.app.middlewares.append(count)
    async with one:
        yield one, asked


@asynccontextmanager
async def visited(context, url):
    """A page that is live, and what went wrong with it."""
    page = await context.new_page()
    wrong = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # But the stream, which ends whenever the page wants other topics.
    page.on("requestfailed", lambda r: wrong.append(r.url) if "/ui/stream?" not in r.url else None)
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on("request", lambda r: None if r.url.startswith(url.rpartition("/ui/")[0]) else wrong.append(r.url))
    await page.goto(url)
    await expect(page.locator("#rail .live b")).to_have_text("Live", timeout=30_000)
    yield page
    await page.close()
    assert wrong == []


@needs_chromium
@in_module
@pytest.mark.parametrize("built", [pytest.param(True, marks=needs_bundle), False])
async def test_a_first_visit_and_a_second(browser, built):
    async with site(built) as (one, asked):
        context = await browser.new_context()
        try:
            async with visited(context, one.url) as page:
                first = [path for path in asked if path.startswith("@")]
                assert len(first) == len(set(first)), "asked for twice"
                assert (len(first) < 10) == built
                # Other pages are loaded by who goes there.
                assert not any("circuit" in path or "topology" in path for path in first if ".js" in path)
                await page.click("#rail a[href$=circuits]")
                await expect(page.locator(".tallies")).to_be_visible(timeout=30_000)
                assert sum("circuits" in path for path in asked if path.startswith("@")) >= 1
            asked.clear()
            async with visited(context, one.url):
                assert "" in asked
                assert [path for path in asked if path.startswith("@")] == []
        finally:
            await context.close()


@needs_chromium
@needs_bundle
@in_module
async def test_the_bundle_has_the_same_styles(browser):
    read = """async urls => {
        const texts = await Promise.all(urls.map(async url => (await fetch(url)).text()));
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(texts.join('\\n'));
        // The value of a property of ours is kept as it was written.
        return [...sheet.cssRules].map(rule => rule.cssText.replace(/, /g, ','));
    }"""
    sheets = re.findall(r'href="@\w+/(css/[^"]+)"', SOURCES.page(0, b"{}").decode())
    assert set(sheets) == {name for name in SOURCES if name.endswith(".css")}
    async with site(False) as (plain, _), site() as (small, _):
        found = []
        for one, names, files in ((plain, sheets, SOURCES), (small, ["app.css"], FILES)):
            context = await browser.new_context()
            page = await context.new_page()
            await page.goto(one.url)
            found.append(await page.evaluate(read, [f"{one.url}@{files.version}/{name}" for name in names]))
            await context.close()
        assert len(found[0]) > 300
        assert found[0] == found[1]


@asynccontextmanager
async def proxied(url, prefix):
    """A reverse proxy that shows ``url`` below a prefix; yields the address there."""
    async with ClientSession(auto_decompress=False) as session:

        async def passed(request):
            assert request.path.startswith(prefix)
            there = url.removesuffix("/ui/") + request.raw_path.removeprefix(prefix)
            headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
            async with session.get(there, headers=headers, allow_redirects=False) as answer:
                kept = ("Content-Type", "Content-Encoding", "Cache-Control", "Content-Security-Policy")
                response = web.StreamResponse(
                    status=answer.status, headers={k: answer.headers[k] for k in kept if k in answer.headers}
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                return response

        app = web.Application()
        app.router.add_get("/{rest:.*}", passed)
        runner = web.AppRunner(app, shutdown_timeout=0.5, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}/ui/"
        finally:
            await runner.cleanup()


@needs_chromium
@in_module
@pytest.mark.parametrize("built", [pytest.param(True, marks=needs_bundle), False])
async def test_behind_a_proxy_that_adds_a_prefix(browser, built):
    async with site(built) as (one, _), proxied(one.url, "/tools/registry") as url:
        context = await browser.new_context()
        try:
            async with visited(context, f"{url}services/orders") as page:
                await page.click("#rail a[href$=circuits]")
                await expect(page.locator(".tallies")).to_be_visible(timeout=30_000)
                assert page.url == f"{url}circuits"
        finally:
            await context.close()
