import socket
import ssl

import pytest

from resilient.balancing.dialect import (
    STANDARD,
    Dialect,
    Verdict,
    harmless,
    parse_retry_after,
    refused,
    retry_after_of,
    status_of,
)

REFUSED = ConnectionRefusedError(111, "Connection refused")


def wrapped(cause: BaseException) -> Exception:
    try:
        try:
            raise cause
        except BaseException as inner:
            raise ValueError("wrapped") from inner
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        REFUSED,
        OSError(111, "Connect call failed"),
        OSError(
            "Multiple exceptions: [Errno 111] Connect call failed ('::1'), [Errno 111] Connect call failed"
        ),
        wrapped(REFUSED),
        wrapped(wrapped(REFUSED)),
        wrapped(ExceptionGroup("all failed", [OSError(113, "no route"), REFUSED])),
        RuntimeError(REFUSED),
    ],
)
def test_a_closed_port_is_recognised_beneath_its_wrapping(error: BaseException) -> None:
    assert refused(error)
    assert STANDARD.judge(error) is Verdict.REFUSED


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ConnectionResetError(), Verdict.FAILED),
        (BrokenPipeError(), Verdict.FAILED),
        (TimeoutError(), Verdict.TIMED_OUT),
        (socket.gaierror(-2, "Name or service not known"), Verdict.CONNECT),
        (ValueError(), Verdict.NEUTRAL),
        (FileNotFoundError(), Verdict.NEUTRAL),
        (KeyboardInterrupt(), Verdict.NEUTRAL),
    ],
)
def test_what_the_standard_library_says(error: BaseException, verdict: Verdict) -> None:
    assert STANDARD.judge(error) is verdict


def test_the_order_of_a_dialect() -> None:
    dialect = Dialect(
        busy=(KeyError,),
        never_sent=(OSError,),
        timeouts=(OSError, LookupError),
        broken=(LookupError, ValueError),
    )
    assert dialect.judge(KeyError()) is Verdict.OVERLOAD
    assert dialect.judge(ssl.SSLError()) is Verdict.CONNECT
    assert dialect.judge(IndexError()) is Verdict.TIMED_OUT
    assert dialect.judge(ValueError()) is Verdict.FAILED
    assert Dialect(never_sent_if=lambda error: True).judge(ValueError()) is Verdict.CONNECT


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert not refused(one)


def test_harmless() -> None:
    assert all(harmless(method) for method in ("GET", "get", "HEAD", "OPTIONS", "TRACE"))
    assert not any(harmless(method) for method in ("POST", "PUT", "DELETE", "PATCH"))
    assert harmless("POST", {"idempotency-key": "1"})
    assert not harmless("POST", {"Accept": "*/*"})
    assert harmless("PUT", also=("PUT",))


def test_the_status_that_an_error_carries() -> None:
    class Response:
        status_code = 503
        headers = {"Retry-After": "7"}

    class Carries(Exception):
        response = Response()

    class Grpc(Exception):
        def code(self) -> int:
            return 14

    class Odd(Exception):
        status = True

    assert status_of(Carries()) == 503
    assert retry_after_of(Carries()) == 7.0
    assert status_of(Grpc()) is None
    assert status_of(Odd()) is None
    assert status_of(SystemExit(200)) is None
    assert status_of(ValueError()) is None
    assert retry_after_of(ValueError()) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0), (" 0 ", 0.0), (None, None), ("", None), ("soon", None), ("-1", None), ("9" * 100, None),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0), ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0), ("٣", None),
    ],
)  # fmt: skip
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, 1445412480.0) == seconds
