"""Every exception this project raises, on one page.

An error that the protected function raised arrives as it is; none of these ever wraps one.
The class tells whether the call went out, the fields tell when to come back, and each one also
descends from the standard exception people already catch.
"""

from collections.abc import Iterable
from typing import Any

import pybreaker


class ResilientError(Exception):
    """The root of everything raised by this project on its own account."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take parts and compose the message, so the default reduce would feed
        # the message back as the first part.
        return (_revive, (type(self), self.args, dict(self.__dict__)))


def _revive(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(ResilientError, ValueError):
    """A setting that is wrong from the start: named, with its value and the cure. Never mid-call."""


class CallRejected(ResilientError):
    """The call was not made at all; trying elsewhere or later is safe.

    ``retry_after`` is how many seconds to wait before trying again, ``None`` when nobody can say.
    """

    retry_after: float | None = None


class CircuitOpen(CallRejected, pybreaker.CircuitBreakerError):
    """The circuit is open, so nobody was asked. It is a ``pybreaker.CircuitBreakerError`` too."""

    def __init__(self, circuit: str, retry_after: float | None = None, last_error: str = "") -> None:
        # Refusing must be cheap: the message is composed only if somebody reads it.
        self.circuit = circuit
        self.retry_after = retry_after
        self.last_error = last_error

    def __str__(self) -> str:
        after = self.retry_after
        when = f"next trial in {after:.1f}s" if after is not None else "no trial is due"
        because = f" (last error: {self.last_error})" if self.last_error else ""
        return f"circuit {self.circuit!r} is open, {when}{because}"


class CircuitFull(CallRejected):
    """As many calls as ``max_concurrent`` allows are under way in this circuit."""

    def __init__(self, circuit: str, limit: int) -> None:
        self.circuit = circuit
        self.limit = limit

    def __str__(self) -> str:
        return f"circuit {self.circuit!r} is full: max_concurrent={self.limit} calls are under way"


class FallbackFull(ResilientError):
    """The call failed, and as many fallbacks as ``fallback_max_concurrent`` allows are at work already.

    ``__cause__`` is why the fallback was to be asked. Servers answer it as they answer a refused call, but it
    is none: the call may have gone out.
    """

    retry_after: float | None = None

    def __init__(self, circuit: str, limit: int) -> None:
        super().__init__(f"no fallback for circuit {circuit!r}: fallback_max_concurrent={limit} are at work")
        self.circuit = circuit
        self.limit = limit


class NoInstance(CallRejected, LookupError):
    """Nobody to call: the service is unknown, empty, or the directory has not been read yet.

    ``known`` names the services the directory has; ``reason`` says why nobody was found. ``undecided``
    is true while there is no directory at all: then the error says nothing about the service.
    """

    def __init__(
        self,
        service: str,
        known: Iterable[str] = (),
        reason: str = "",
        hint: str = "",
        undecided: bool = False,
    ) -> None:
        text = f"no instance of {service!r}"
        if reason:
            text += f": {reason}"
        if hint:
            text += f"; did you mean {hint!r}?"
        super().__init__(text)
        self.service = service
        self.known = tuple(known)
        self.reason = reason
        self.hint = hint
        self.undecided = undecided


class CallTimeout(ResilientError, TimeoutError):
    """The call went out and was given up after ``seconds``."""

    def __init__(self, circuit: str, seconds: float) -> None:
        super().__init__(f"call through circuit {circuit!r} took longer than {seconds:g}s")
        self.circuit = circuit
        self.seconds = seconds


class InsecureRedirect(ResilientError):
    """A server reached by https pointed to plain http, where anybody could listen. Nobody went there."""

    def __init__(self, url: str) -> None:
        super().__init__(f"redirected from https to {url[:200]!r}, which is plain http: not followed")
        self.url = url


class RegistryError(ResilientError):
    """Something is wrong between this process and its registry."""


class RegistryUnknown(RegistryError):
    """No registry address: names the ways to give one."""

    def __init__(self, tried: Iterable[str] = ()) -> None:
        looked = "".join(f"\n  - {line}" for line in tried)
        super().__init__(
            "no registry found; pass registry=URL, set RESILIENT_REGISTRY, or start one with "
            f"'resilient registry'{':' + looked if looked else ''}"
        )
        self.tried = tuple(tried)


class RegistrySilent(RegistryError, ConnectionError):
    """No registry address answered. ``tried`` holds each address with what happened there."""

    def __init__(self, tried: Iterable[tuple[str, str]]) -> None:
        self.tried = tuple(tried)
        super().__init__("no registry answers: " + "; ".join(f"{url} ({why})" for url, why in self.tried))


class RegistryRefused(RegistryError):
    """The registry answered with a status that means no."""

    def __init__(self, url: str, status: int, text: str = "") -> None:
        super().__init__(f"registry {url} refused with status {status}{': ' + text if text else ''}")
        self.url = url
        self.status = status


class WireError(ResilientError, ValueError):
    """Bytes from outside that make no sense; the message names the field and what was expected."""
