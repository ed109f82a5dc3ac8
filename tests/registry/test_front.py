"""A heartbeat's short way: the same answers, the same rights, and nobody else's."""

import asyncio
import base64
import re

import pytest

from registry_server.app import running
from registry_server.settings import Settings

TOKEN = "a-token-for-the-tests"
READ = "another-token-for-reading"
BODY = (
    '{"instance":{"instanceId":"o-1","hostName":"h","app":"ORDERS","ipAddr":"10.0.0.1","status":"UP",'
    '"port":{"$":80,"@enabled":"true"},"dataCenterInfo":{"@class":"x","name":"MyOwn"},"lastDirtyTimestamp":"7"}}'
)


async def _ask(port: int, *requests: str, count: int | None = None) -> list[tuple[int, str]]:
    """Requests over one connection, all sent at once; status and head of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("".join(requests).encode("utf-8", "surrogateescape"))
        answers = []
        for _ in range(len(requests) if count is None else count):
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
            if (length := re.search(r"(?i)content-length: (\d+)", head)) is not None:
                await reader.readexactly(int(length[1]))
            answers.append((int(head.split()[1]), head))
        return answers
    finally:
        writer.close()


def _put(
    target: str = "/eureka/apps/ORDERS/o-1", token: str = "", version: str = "1.1", more: str = ""
) -> str:
    given = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"PUT {target} HTTP/{version}\r\nHost: 127.0.0.1\r\n{given}{more}\r\n"


def _post(token: str) -> str:
    return (
        f"POST /eureka/apps/ORDERS HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
    )


async def test_the_short_answer_has_what_every_answer_has() -> None:
    async with running(Settings(port=0, token=TOKEN)) as registry:
        told = await _ask(registry.port, _post(TOKEN), *[_put(token=TOKEN)] * 3)
        assert [status for status, _ in told] == [204, 200, 200, 200]
        head = told[-1][1].lower()
        assert "content-length: 0\r\n" in head
        assert "x-content-type-options: nosniff\r\n" in head
        assert re.search(r"\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d gmt\r\n", head)
        assert "server:" not in head
        assert registry.registry.table.renewals == 3


async def test_a_connection_that_was_let_in_does_not_let_others_in() -> None:
    """A proxy may send the requests of different callers through one connection."""
    async with running(Settings(port=0, token=TOKEN, read_token=READ)) as registry:
        good, basic = _put(token=TOKEN), base64.b64encode(f"any:{TOKEN}".encode()).decode()
        told = await _ask(
            registry.port,
            _post(TOKEN),
            good,
            _put(token="x" + TOKEN[1:]),
            _put(),
            _put(token=READ),
            good,
            _put(more=f"Authorization: Basic {basic}\r\n"),
            _put(more="Authorization: Bearer \xe4\r\n"),
        )
        assert [status for status, _ in told] == [204, 200, 401, 401, 403, 200, 200, 401]
        assert "basic realm" in told[2][1].lower()


async def test_after_too_many_wrong_tokens_a_right_one_waits_too() -> None:
    async with running(Settings(port=0, token=TOKEN)) as registry:
        first = await _ask(registry.port, _post(TOKEN), _put(token=TOKEN))
        assert [status for status, _ in first] == [204, 200]
        wrong = [_put(token=TOKEN[:-1] + "x")] * 10
        told = await _ask(registry.port, *wrong, _put(token=TOKEN), count=11)
        assert [status for status, _ in told] == [401] * 10 + [429]


async def test_who_wants_the_connection_closed_gets_it_closed() -> None:
    async with running(Settings(port=0)) as registry:
        await _ask(registry.port, _post("none"))
        for request in (_put(version="1.0"), _put(more="Connection: close\r\n")):
            reader, writer = await asyncio.open_connection("127.0.0.1", registry.port)
            writer.write(request.encode())
            answer = await asyncio.wait_for(reader.read(), 5)  # to its end
            assert answer.split()[1] == b"200"
            writer.close()
        ((status, head),) = await _ask(registry.port, _put(version="1.0", more="Connection: keep-alive\r\n"))
        assert status == 200
        assert "connection: keep-alive" in head.lower()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/eureka/apps/orders/o-1?lastDirtyTimestamp=7", 200),
        ("/eureka/apps/ORDERS/o-1?lastDirtyTimestamp=8", 404),
        ("/eureka/apps/ORDERS/o-1?lastDirtyTimestamp=x", 400),
        ("/eureka/apps/ORDERS/nobody", 404),
        ("/eureka/apps/ORDERS/o%2D1", 200),
        ("/eureka/v2/apps/ORDERS/o-1", 200),
        ("/eureka//apps/ORDERS/o-1", 200),
        ("/eureka/apps/ORDERS/o-1/", 200),
        ("/eureka/apps//o-1", 405),
    ],
)
async def test_what_is_not_quite_a_heartbeat_is_judged_as_before(target: str, status: int) -> None:
    async with running(Settings(port=0)) as registry:
        await _ask(registry.port, _post("none"))
        ((told, _),) = await _ask(registry.port, _put(target))
        assert told == status


async def test_a_caller_that_never_reads_does_not_fill_memory() -> None:
    async with running(Settings(port=0)) as registry:
        await _ask(registry.port, _post("none"))
        _, writer = await asyncio.open_connection("127.0.0.1", registry.port)
        sent = 0
        try:
            async with asyncio.timeout(1.5):
                while True:
                    writer.write(_put().encode() * 500)
                    await writer.drain()
                    sent += 500
        except TimeoutError:
            pass
        assert registry.listener is not None
        held = [one.wire.get_write_buffer_size() for one in registry.listener._watch.open if one.wire]
        assert max(held) < 1024 * 1024
        writer.transport.abort()
