"""A guarded site to talk to over a raw socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from resilient.errors import CircuitOpen, WireError
from resilient.web.body import charset_of, read_body
from resilient.web.guard import Guard
from resilient.web.problems import problem
from resilient.web.server import Listener

JSON = {"Content-Type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes = field(repr=False, default=b"")

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Answer:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
    body = b""
    if method != "HEAD" and int(headers.get("content-length", "0")):
        body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 5)
    return Answer(int(first.split(" ")[1]), headers, body, head)


Send = Callable[..., Awaitable[Answer]]


@dataclass
class Site:
    listener: Listener
    guard: Guard

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.listener.port)

    async def raw(self, data: bytes, method: str = "GET") -> Answer:
        reader, writer = await self.connect()
        try:
            writer.write(data)
            return await read_answer(reader, method)
        finally:
            writer.close()

    async def send(
        self, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        lines = {"Host": f"127.0.0.1:{self.listener.port}", **(headers or {})}
        if body:
            lines.setdefault("Content-Length", str(len(body)))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        return await self.raw(head.encode("latin-1") + body, method)


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request), content_type="application/octet-stream")


async def text(request: web.Request) -> web.Response:
    return web.Response(text=(await read_body(request)).decode(charset_of(request)))


async def html(_: web.Request) -> web.Response:
    return web.Response(text="<p>", content_type="text/html")


async def plain_json(_: web.Request) -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")


async def broken(_: web.Request) -> web.Response:
    raise RuntimeError("secret <b>text</b>")


async def own_404(_: web.Request) -> web.Response:
    return web.Response(status=404, text="mine", headers={"X-Mine": "1"})


async def own_problem(_: web.Request) -> web.Response:
    raise problem(409, "conflict", "another one is <there>", retry_after=3)


async def open_circuit(_: web.Request) -> web.Response:
    raise CircuitOpen("orders", 2.5)


async def wire(_: web.Request) -> web.Response:
    raise WireError("port: expected a number")


async def late(_: web.Request) -> web.Response:
    raise TimeoutError


async def begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    raise RuntimeError("in the middle")


def app() -> web.Application:
    made = web.Application()
    for path, handler in {
        "/html": html,
        "/json": plain_json,
        "/broken": broken,
        "/problem": own_problem,
        "/own": own_404,
        "/open": open_circuit,
        "/wire": wire,
        "/late": late,
        "/begun": begun,
    }.items():
        made.router.add_get(path, handler)
        made.router.add_get("/eureka" + path, handler)
    for path in ("/", "/eureka/apps", "/ui/x", "/peers/batch"):
        made.router.add_get(path, plain_json)
        made.router.add_post(path, echo)
        made.router.add_put(path, echo)
    made.router.add_post("/text", text)
    return made
