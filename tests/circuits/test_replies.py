"""Which errors need no look for a status, and that all others get one."""

from __future__ import annotations

import pytest
from circuit_kit import Boom, Reply

from resilient import CallRejected, CircuitOpen
from resilient.circuits import replies
from resilient.circuits.replies import only_failed


class Coded(Exception):
    code = 404


class Slotted(Exception):
    __slots__ = ("response",)


class Asking(Exception):
    def __getattr__(self, name):
        if name == "status":
            return 404
        raise AttributeError(name)


class Overriding(Exception):
    def __getattribute__(self, name):
        return 404 if name == "status" else super().__getattribute__(name)


def with_status() -> Boom:
    error = Boom()
    error.status = 404  # type: ignore[attr-defined]
    return error


def with_response() -> Boom:
    error = Boom()
    error.response = Reply(404)  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("make", [with_status, with_response, Coded, Asking, Overriding])
def test_an_error_that_may_carry_a_status_is_looked_at(serve, make):
    assert only_failed(Boom())
    assert not only_failed(make())
    service = serve()
    service.bad()
    service.bad(1, make())
    assert (service.counts["failure"], service.counts["excluded"]) == (1, 1)


@pytest.mark.parametrize(
    "error",
    [Slotted(), KeyboardInterrupt(), ExceptionGroup("many", [Coded()]), CallRejected(), CircuitOpen("pay")],
)
def test_groups_ours_and_no_exceptions_are_looked_at(error):
    assert not only_failed(error)


def test_programs_that_make_errors_do_not_fill_the_memory():
    for n in range(600):
        assert only_failed(type(f"E{n}", (Exception,), {})())
        assert len(replies._ONLY_ERRORS) <= 256
