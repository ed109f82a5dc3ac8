"""The scripted server, seen from raw sockets and from real clients."""

from __future__ import annotations

import asyncio
import gc
import http.client
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from resilient.errors import ConfigError
from resilient.testing import Call, Flaky, answer, delay, drip, flaky, hang, ok, refuse, reset


def get(server: Flaky, path: str = "/", timeout: float = 5.0, **options: Any) -> tuple[int, bytes]:
    request = urllib.request.Request(server.url + path, **options)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def refused(server: Flaky) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 5).close()
    except ConnectionResetError:
        return False  # in the very moment of closing: not yet
    except ConnectionRefusedError:
        return True
    return False


def within(there: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.005)
    return there()


def test_the_script_is_played_in_order_and_then_ok() -> None:
    with flaky(answer(503, "no"), 404, answer(200, {"id": 7}), answer(201, b"raw")) as server:
        seen = [get(server, f"/{n}") for n in range(5)]
    assert seen == [(503, b"no"), (404, b""), (200, b'{"id": 7}'), (201, b"raw"), (200, b"ok")]
    assert [call.path for call in server.calls] == ["/0", "/1", "/2", "/3", "/4"]


def test_then_is_for_all_that_follow() -> None:
    with flaky(ok, then=503) as server:
        assert [get(server)[0] for _ in range(4)] == [200, 503, 503, 503]


def test_a_call_is_remembered_as_it_came() -> None:
    with flaky() as server:
        get(server, "/a?b=c", data=b'{"x": [1]}', headers={"X-Kind": "test"}, method="PUT")
    (call,) = server.calls
    assert (call.method, call.path, call.headers["x-kind"], call.json()) == (
        "PUT",
        "/a?b=c",
        "test",
        {"x": [1]},
    )


def test_a_body_in_pieces_is_put_together() -> None:
    with flaky() as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        for _ in range(2):  # the second one shows that nothing of the first was left over
            client.request("POST", "/", iter([b"one ", b"two"]), encode_chunked=True)
            assert client.getresponse().read() == b"ok"
        client.close()
    assert [call.body for call in server.calls] == [b"one two"] * 2
    assert server.connections == 1


def test_headers_and_their_content_type() -> None:
    with flaky(answer(503, headers={"Retry-After": "7"}), answer(200, {}), answer(204)) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        found = []
        for _ in range(3):
            client.request("GET", "/")
            got = client.getresponse()
            got.read()
            found.append((got.status, got.headers["Retry-After"], got.headers["Content-Type"]))
        client.close()
    assert found == [(503, "7", None), (200, None, "application/json"), (204, None, None)]


def test_head_and_204_have_no_body() -> None:
    with flaky(ok, answer(204, "none")) as server:
        with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
            sock.sendall(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            said = b"".join(iter(lambda: sock.recv(1000), b""))
    first, second, rest = said.split(b"\r\n\r\n")
    assert b"Content-Length: 2" in first
    assert second.startswith(b"HTTP/1.1 204 No Content")
    assert rest == b""


def test_hang_until_the_caller_gives_up() -> None:
    with flaky(hang()) as server:
        with pytest.raises(TimeoutError):
            get(server, timeout=0.05)
        assert get(server) == (200, b"ok")


def test_closing_does_not_wait_for_what_hangs() -> None:
    ended: list[int] = []

    def call() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            get(server)
        ended.append(1)

    with flaky(hang(), delay(60), drip("x" * 1000, every=60)) as server:
        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert within(lambda: len(server.calls) == 3)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    for thread in threads:
        thread.join(5)
    assert len(ended) == 3
    assert not [one for one in threading.enumerate() if one.name.startswith("resilient-flaky")]


def test_closing_leaves_no_connection_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(50):  # a client that is just being accepted, at the moment of the end
            with flaky() as server:
                client = socket.create_connection(("127.0.0.1", server.port), 5)
            client.close()
        gc.collect()
    assert [repr(one.exc_value) for one in lost] == []


def test_reset_before_the_answer_and_in_the_middle_of_it() -> None:
    with flaky(reset(), reset(midway=True)) as server:
        with pytest.raises(ConnectionResetError):
            get(server)
        with pytest.raises(ConnectionResetError):
            with urllib.request.urlopen(server.url, timeout=5) as got:
                assert got.status == 200
                got.read()
        assert len(server.calls) == 2


def test_drip_sends_byte_by_byte() -> None:
    with flaky(drip("abc", every=0.03)) as server:
        began = time.monotonic()
        with urllib.request.urlopen(server.url, timeout=5) as got:
            assert got.read(1) == b"a"
            assert got.read() == b"bc"
        assert time.monotonic() - began >= 0.09


def test_delay_is_followed_by_what_it_says() -> None:
    with flaky(delay(0.05, 418)) as server:
        began = time.monotonic()
        assert get(server)[0] == 418
        assert time.monotonic() - began >= 0.05


def test_nobody_listens_from_the_answer_before() -> None:
    with flaky(answer(200, "last"), refuse(), answer(200, "again")) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        client.request("GET", "/")
        got = client.getresponse()
        assert refused(server)
        assert (got.read(), got.headers["Connection"]) == (b"last", "close")
        client.close()
        port = server.port
        server.listen()
        assert get(server) == (200, b"again")
        assert server.port == port


def test_refusing_for_a_while() -> None:
    began = time.monotonic()
    with flaky(refuse(0.1), refuse(0.1), 404) as server:
        assert refused(server)
        assert within(lambda: not refused(server))
        assert time.monotonic() - began >= 0.2
        assert get(server)[0] == 404


def test_refusing_after_the_script() -> None:
    with flaky(ok, then=refuse()) as server:
        assert get(server)[0] == 200
        assert refused(server)
        server.listen()
        assert get(server)[0] == 200


def test_an_idle_connection_ends_with_the_listening() -> None:
    with flaky() as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        client.request("GET", "/")
        assert client.getresponse().read() == b"ok"
        server.refuse()
        server.refuse()  # harmless
        assert client.sock.recv(1) == b""
        client.close()
        server.listen()
        server.listen()
        assert get(server) == (200, b"ok")


def test_a_new_script_in_the_middle() -> None:
    with flaky(503, refuse()) as server:
        assert get(server)[0] == 503
        server.play(404)
        assert [get(server)[0] for _ in range(2)] == [404, 200]
        server.play(refuse())
        assert refused(server)


def test_a_function_chooses_and_may_turn_the_server() -> None:
    def choose(call: Call) -> Any:
        if call.path == "/stop":
            server.refuse()
        return answer(200, call.body) if call.method == "POST" else 404

    with flaky(then=choose) as server:
        assert get(server)[0] == 404
        assert get(server, data=b"echo") == (200, b"echo")
        assert get(server, "/stop")[0] == 404
        assert within(lambda: refused(server))


def test_drop_closes_what_is_open() -> None:
    with flaky(hang()) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        client.request("GET", "/")
        assert within(lambda: len(server.calls) == 1)
        server.drop()
        with pytest.raises(ConnectionError):
            client.getresponse()
        client.close()
        assert get(server) == (200, b"ok")


def test_what_is_no_http_ends_its_own_connection_only() -> None:
    with flaky() as server:
        for nonsense in (
            b"nonsense\r\n\r\n",
            b"x" * 100_000,
            b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
                try:
                    sock.sendall(nonsense)
                    assert sock.recv(100) == b""
                except ConnectionError:
                    pass
        assert get(server) == (200, b"ok")
    assert len(server.calls) == 1


@pytest.mark.parametrize("wrong", ["503", None, 99, 600, True, object()])
def test_what_is_no_step_is_said_at_once(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        flaky(wrong)
    with pytest.raises(ConfigError):
        flaky(then=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: answer(100),
        lambda: answer(200, headers={"A": "b\r\nC: d"}),
        lambda: answer(200, headers={"": "b"}),
        lambda: delay(-1),
        lambda: delay(0.1, refuse()),
        lambda: drip("x", every=float("nan")),
    ],
)
def test_wrong_steps(wrong: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError):
        wrong()


@pytest.mark.parametrize("mistake", [lambda call: 1 / 0, lambda call: "503", lambda call: refuse()])
def test_a_mistake_in_the_script_is_the_tests_failure(mistake: Any) -> None:
    with pytest.raises((ZeroDivisionError, ConfigError)):
        with flaky(mistake) as server:
            assert get(server)[0] == 500


def test_only_inside_its_block() -> None:
    server = flaky()
    for act in (server.refuse, server.listen, server.drop):
        with pytest.raises(ConfigError, match="with block"):
            act()
    with server:
        with pytest.raises(ConfigError, match="runs already"):
            server.__enter__()


async def test_the_same_in_async_tests() -> None:
    async with flaky(503) as server:
        seen = await asyncio.gather(*(asyncio.to_thread(get, server) for _ in range(4)))
    assert sorted(status for status, _ in seen) == [200, 200, 200, 503]


def test_with_another_event_loop_policy() -> None:
    uvloop = pytest.importorskip("uvloop")
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        with flaky(reset(), ok, refuse()) as server:
            with pytest.raises(ConnectionError):
                get(server)
            assert get(server)[0] == 200
            assert refused(server)
            server.listen()
            assert get(server)[0] == 200
    finally:
        asyncio.set_event_loop_policy(before)
