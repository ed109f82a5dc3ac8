"""What a flaky server can be told to do with a request, step by step."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ..errors import ConfigError

_NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived. ``path`` holds the query too; header names are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Exchange:
    """One request on its connection, while a step deals with it. ``last``: the connection ends with it."""

    call: Call
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    last: bool = False


class Step:
    """One thing a server does with a request. Made by `answer` and its neighbours."""

    async def play(self, exchange: Exchange) -> bool:
        """Deal with the request; whether the connection can be used again."""
        raise NotImplementedError


#: What a script is made of: steps, bare status codes, or functions that choose a step for a call.
Entry = Step | int | Callable[[Call], "Step | int"]


@dataclass(frozen=True, slots=True)
class Answer(Step):
    """A whole response."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]

    def head(self, exchange: Exchange) -> bytes:
        """Status line and headers."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.status not in _NO_BODY:
            lines.append(f"Content-Length: {len(self.body)}")
        if exchange.last:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def content(self, exchange: Exchange) -> bytes:
        """The body, where there may be one."""
        return b"" if exchange.call.method == "HEAD" or self.status in _NO_BODY else self.body

    async def play(self, exchange: Exchange) -> bool:
        exchange.writer.write(self.head(exchange) + self.content(exchange))
        await exchange.writer.drain()
        return not exchange.last


@dataclass(frozen=True, slots=True)
class Hang(Step):
    """No answer, until the other end gives up or the server closes."""

    async def play(self, exchange: Exchange) -> bool:
        while await exchange.reader.read(4096):
            pass
        return False


@dataclass(frozen=True, slots=True)
class Reset(Step):
    """The connection is torn down: before the answer, or in the middle of ``midway``'s body."""

    midway: Answer | None

    async def play(self, exchange: Exchange) -> bool:
        writer = exchange.writer
        if self.midway is not None:
            body = self.midway.content(exchange)
            writer.write(self.midway.head(exchange) + body[: len(body) // 2])
            await writer.drain()
            await asyncio.sleep(0.03)  # a reset overtakes what the other end has not read yet
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False


@dataclass(frozen=True, slots=True)
class Drip(Step):
    """Headers at once, then the body byte by byte."""

    response: Answer
    every: float

    async def play(self, exchange: Exchange) -> bool:
        writer = exchange.writer
        writer.write(self.response.head(exchange))
        for byte in self.response.content(exchange):
            await writer.drain()
            await asyncio.sleep(self.every)
            writer.write(bytes([byte]))
        await writer.drain()
        return not exchange.last


@dataclass(frozen=True, slots=True)
class Delay(Step):
    """Another step, some time later."""

    seconds: float
    then: Step

    async def play(self, exchange: Exchange) -> bool:
        await asyncio.sleep(self.seconds)
        return await self.then.play(exchange)


@dataclass(frozen=True, slots=True)
class Refuse(Step):
    """Nobody listens. Not for a request, which would have arrived: the server does it between two."""

    seconds: float | None


def answer(status: int = 200, body: object = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """Answer so. ``body`` is bytes, text, or anything that can be written as JSON.

    ``answer(200, {"id": 7})``, ``answer(503, headers={"Retry-After": "1"})``. Raises ConfigError for what is
    no final status, and for headers that would break the response.
    """
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise ConfigError(f"answer() takes a status from 200 to 599, got {status!r}")
    given = dict(headers or {})
    for name, value in given.items():
        if not (name + value).isprintable() or not name or ":" in name or not (name + value).isascii():
            raise ConfigError(f"header {name!r}: {value!r} is not plain text on one line")
    kind, content = "application/json", b""
    if isinstance(body, bytes):
        kind, content = "application/octet-stream" if body else "", body
    elif isinstance(body, str):
        kind, content = "text/plain; charset=utf-8", body.encode()
    else:
        content = json.dumps(body).encode()
    if kind and "content-type" not in {name.lower() for name in given}:
        given["Content-Type"] = kind
    return Answer(status, content, tuple(given.items()))


#: What follows when a script is over: 200, and a body that says so.
ok = answer(200, "ok")


def hang() -> Step:
    """Read the request and never answer, until the caller gives up or the server closes."""
    return Hang()


def reset(midway: bool | Answer = False) -> Step:
    """Tear the connection down instead of answering; with ``midway`` after half of the body."""
    if midway is True:
        midway = answer(200, "x" * 1000)
    return Reset(midway or None)


def drip(body: object = "..........", every: float = 0.05) -> Step:
    """Answer 200 with the headers at once and then a byte of the body each ``every`` seconds."""
    return Drip(body if isinstance(body, Answer) else answer(200, body), _seconds("drip", every))


def delay(seconds: float, then: Step | int = ok) -> Step:
    """Wait ``seconds`` (real ones, whatever clock the runtime has), then do what ``then`` says."""
    step = step_from(then)
    if isinstance(step, Refuse):
        raise ConfigError("delay(): once a request is here it cannot be refused; use reset()")
    return Delay(_seconds("delay", seconds), step)


def refuse(seconds: float | None = None) -> Step:
    """Nobody listens, from the answer before this step on, so that connections are refused.

    For ``seconds``; without, until ``server.listen()``. Then the script goes on with its next step.
    """
    return Refuse(None if seconds is None else _seconds("refuse", seconds))


def step_from(entry: object) -> Step:
    """A step, or the answer with that status. Raises ConfigError for anything else."""
    if isinstance(entry, Step):
        return entry
    if isinstance(entry, int):
        return answer(entry)
    raise ConfigError(
        f"a script is made of answer(503), hang(), reset(), drip(), delay(0.2), refuse(), ok, a status, "
        f"or functions that choose one of them for a call; got {entry!r}"
    )


def _seconds(name: str, value: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 86400:
        return value
    raise ConfigError(f"{name}() takes seconds, got {value!r}")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
