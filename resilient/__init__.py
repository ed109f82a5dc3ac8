"""Service registry, circuit breakers and client-side load balancing for Python: one pip install, one URL."""

from typing import TYPE_CHECKING

from .balanced import balanced
from .cached import cached_per_request
from .circuits.attempt import Attempt
from .circuits.policy import CircuitPolicy, Outcome
from .collapsed import collapsed
from .decorators import circuit
from .errors import (
    CallRejected,
    CallTimeout,
    CircuitFull,
    CircuitOpen,
    ConfigError,
    FallbackFull,
    NoInstance,
    ResilientError,
)
from .model import Directory, Instance, Status
from .request import request
from .retry import retry
from .runtime import Runtime, current, instances, pick

if TYPE_CHECKING:
    from .circuits.attempt import current_attempt

__all__ = [
    "Attempt",
    "CallRejected",
    "CallTimeout",
    "CircuitFull",
    "CircuitOpen",
    "CircuitPolicy",
    "ConfigError",
    "Directory",
    "FallbackFull",
    "Instance",
    "NoInstance",
    "Outcome",
    "ResilientError",
    "Runtime",
    "Status",
    "balanced",
    "cached_per_request",
    "circuit",
    "collapsed",
    "current",
    "current_attempt",
    "instances",
    "pick",
    "request",
    "retry",
]


def __getattr__(name: str) -> object:
    if name == "current_attempt":
        # Who imports it wants to ask: only from then on do circuits say which attempt is the present one.
        from .circuits import attempt

        attempt.watch()
        return attempt.current_attempt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
