"""The errors: what they say, what else they are, and that they travel between processes."""

from __future__ import annotations

import copy
import pickle

import pybreaker
import pytest

from resilient import errors

ALL = [
    errors.ConfigError("timeout must be above 0"),
    errors.CircuitOpen("pay", 1.25, "Boom: no"),
    errors.CircuitOpen("pay"),
    errors.CircuitFull("pay", 7),
    errors.NoInstance("orders", ["stock", "order"], "unknown", "order", True),
    errors.CallTimeout("pay", 0.5),
    errors.RegistryUnknown(["RESILIENT_REGISTRY is not set", "nothing on port 8761"]),
    errors.RegistrySilent([("http://a", "refused"), ("http://b", "timed out")]),
    errors.RegistryRefused("http://a", 401, "token needed"),
    errors.WireError("port: a number was expected"),
    errors.CallRejected("not made"),
    errors.ResilientError("something"),
    errors.FallbackFull("pay", 5),
    errors.InsecureRedirect("http://elsewhere/"),
]


def test_every_error_is_in_the_list() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    own = {kind for kind in kinds if issubclass(kind, errors.ResilientError)}
    assert own - {type(error) for error in ALL} <= {errors.RegistryError}


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_case_105_errors_travel_with_all_they_say(error: errors.ResilientError, protocol: int) -> None:
    error.fallback_error = ValueError("second")  # type: ignore[attr-defined]
    error.add_note("seen on a Monday")
    there = pickle.loads(pickle.dumps(error, protocol))
    assert type(there) is type(error)
    assert str(there) == str(error) != ""
    assert there.args == error.args
    mine, theirs = dict(vars(error)), dict(vars(there))
    assert repr(mine.pop("fallback_error")) == repr(theirs.pop("fallback_error"))
    assert theirs == mine
    assert str(copy.copy(error)) == str(error)


def test_each_is_also_what_people_already_catch() -> None:
    families = {
        errors.ConfigError: ValueError,
        errors.CircuitOpen: pybreaker.CircuitBreakerError,
        errors.NoInstance: LookupError,
        errors.CallTimeout: TimeoutError,
        errors.RegistrySilent: ConnectionError,
        errors.WireError: ValueError,
    }
    for kind, known in families.items():
        assert issubclass(kind, known)
        assert issubclass(kind, errors.ResilientError)
    for kind in (errors.CircuitOpen, errors.CircuitFull, errors.NoInstance):
        assert issubclass(kind, errors.CallRejected)


def test_what_they_say() -> None:
    said = [str(error) for error in ALL]
    assert said[1] == "circuit 'pay' is open, next trial in 1.2s (last error: Boom: no)"
    assert said[2] == "circuit 'pay' is open, no trial is due"
    assert said[3] == "circuit 'pay' is full: max_concurrent=7 calls are under way"
    assert said[4] == "no instance of 'orders': unknown; did you mean 'order'?"
    assert said[5] == "call through circuit 'pay' took longer than 0.5s"


def test_the_root_wraps_nothing_of_yours() -> None:
    assert not issubclass(errors.ResilientError, (OSError, RuntimeError, ValueError))
