"""Errors that several callers get: copies that say the same and share no traceback."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import types
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from resilient import errors
from resilient.cached import cached_per_request
from resilient.collapsed import collapsed
from resilient.flights import twin
from resilient.request import request
from resilient.retry import retry


class Demanding(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Alone(Exception):
    made = 0

    def __new__(cls, *args: Any) -> Alone:
        if cls.made:
            raise RuntimeError("there can be only one")
        cls.made = 1
        return super().__new__(cls, *args)


def decode_error() -> Exception:
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError


def json_error() -> Exception:
    try:
        json.loads("{")
    except ValueError as error:
        return error
    raise AssertionError


INFO: Any = types.SimpleNamespace(real_url="http://x", host="x", port=1, ssl=True)
WIRE = httpx.Request("GET", "http://x")
CASES: list[tuple[BaseException, tuple[str, ...]]] = [
    (ValueError("no"), ()),
    (KeyError("a"), ()),
    (OSError(2, "not there", "file"), ("errno", "strerror", "filename")),
    (ConnectionRefusedError(111, "refused"), ("errno",)),
    (decode_error(), ("encoding", "object", "start", "end", "reason")),
    (json_error(), ("msg", "doc", "pos")),
    (ImportError("no", name="x", path="y"), ("name", "path")),
    (AttributeError("no", name="x", obj=7), ("name", "obj")),
    (ExceptionGroup("several", [ValueError(1), OSError(2)]), ("message", "exceptions")),
    (subprocess.CalledProcessError(3, ["ls"]), ("returncode", "cmd")),
    (Demanding(code=3), ("code",)),
    (errors.CircuitOpen("pay", 1.5, "Boom"), ("circuit", "retry_after", "last_error")),
    (errors.NoInstance("orders", ["a"]), ("service", "known")),
    (errors.CallTimeout("pay", 1.5), ("seconds",)),
    (httpx.HTTPStatusError("503", request=WIRE, response=httpx.Response(503)), ("response", "request")),
    (httpx.ConnectError("no", request=WIRE), ("request",)),
    (requests.HTTPError("503", response=requests.Response()), ("response",)),
    (aiohttp.ClientResponseError(INFO, (), status=503, message="no"), ("status", "message")),
    (aiohttp.ServerDisconnectedError(), ("message",)),
    (aiohttp.ClientConnectorError(INFO, OSError(111, "no")), ("errno", "os_error")),
    (Slotted(3, "text"), ("code",)),
]


@pytest.mark.parametrize(("error", "fields"), CASES, ids=lambda case: type(case).__name__)
def test_a_twin_says_the_same(error: BaseException, fields: tuple[str, ...]) -> None:
    error.__cause__ = cause = ValueError("cause")
    try:
        raise error
    except BaseException as raised:
        made = twin(raised)
        where = raised.__traceback__
    assert made is not error
    assert type(made) is type(error)
    assert repr(made) == repr(error)
    assert str(made) == str(error)
    for name in fields:
        assert getattr(made, name) is getattr(error, name) or getattr(made, name) == getattr(error, name)
    assert made.__cause__ is cause
    assert made.__suppress_context__
    assert made.__traceback__ is where

    def raise_it() -> None:
        raise made

    try:
        raise_it()
    except BaseException:
        assert error.__traceback__ is where


def test_notes_are_ones_own() -> None:
    error = ValueError()
    error.add_note("first")
    made = twin(error)
    made.add_note("second")
    assert error.__notes__ == ["first"]


def test_what_cannot_be_copied_is_answered_as_it_is() -> None:
    error = Alone()
    assert twin(error) is error


def test_errors_leave_no_rings_for_the_collector() -> None:
    @collapsed(wait=0)
    async def many(keys: list[int]) -> list[int]:
        raise OSError

    @collapsed(wait=0)
    def many_now(keys: list[int]) -> list[int]:
        raise OSError

    @cached_per_request
    async def cached(id: int) -> int:
        raise OSError

    @cached_per_request
    def cached_now(id: int) -> int:
        raise OSError

    @retry(on=OSError, attempts=2, base=0)
    async def again() -> int:
        raise OSError

    @retry(on=OSError, attempts=2, base=0)
    def again_now() -> int:
        raise OSError

    async def fails(call: Any, *args: Any) -> None:
        try:
            found = call(*args)
            if asyncio.iscoroutine(found):
                await found
        except OSError:
            pass

    async def main() -> None:
        with request():
            for call, args in (
                (many, (1,)),
                (many_now, (1,)),
                (cached, (1,)),
                (cached_now, (1,)),
                (again, ()),
                (again_now, ()),
            ):
                await fails(call, *args)
                gc.collect()
                for _ in range(3):
                    await asyncio.gather(fails(call, *args), fails(call, *args))
                await asyncio.sleep(0.001)
                # The collector itself and asyncio may have a handful of their own.
                assert gc.collect() < 3, call

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
