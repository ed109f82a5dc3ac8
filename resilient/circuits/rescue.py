"""What the caller gets when the service had no answer: a default value, a fallback, or a chain of them."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import CallRejected, CallTimeout, ConfigError, FallbackFull, ResilientError
from .attempt import Attempt
from .circuit import Circuit
from .deadlines import within
from .policy import Outcome

NOTHING: Any = object()
_COPIED = (list, dict, set)


class Rescue:
    """Answers instead of a service: called with the caller's own arguments, and with ``error`` if it asks.

    It answers refusals, failures and timeouts; never an excluded or ignored error, for a default answer to
    a wrong question would hide the mistake, and never a cancellation. If every step of the chain fails, the
    caller sees the *primary* error, with the fallback's own error in its ``fallback_error``. No more than
    ``fallback_max_concurrent`` chains are at work at a time: beyond that the default answers, or FallbackFull
    is raised, caused by the primary error.
    """

    __slots__ = ("_steps", "constant", "value")

    def __init__(self, default: Any, fallback: Any, *, sync: bool, name: str) -> None:
        steps: list[tuple[Callable[..., Any], bool]] = []
        if fallback is not None:
            chain = fallback if isinstance(fallback, list | tuple) else (fallback,)
            for step in chain:
                if not callable(step):
                    raise ConfigError(
                        f"{name}: fallback must be a function or a list of them, got {step!r}; "
                        "for a plain value use default="
                    )
                if sync and inspect.iscoroutinefunction(step):
                    raise ConfigError(
                        f"{name} is a plain function, so its fallback cannot be async: {step!r}"
                    )
                steps.append((step, _asks_for_error(step)))
        self._steps = tuple(steps)
        # A list given as default is every caller's own: nobody's append may show up in another's answer.
        self.constant = not steps and default is not NOTHING and not isinstance(default, _COPIED)
        self.value = default

    def helps(self, circuit: Circuit, error: BaseException) -> bool:
        """Whether this error is one that a fallback answers."""
        return isinstance(error, Exception) and (
            isinstance(error, CallRejected) or circuit.classify(error) is Outcome.FAILURE
        )

    async def refused(self, circuit: Circuit, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The circuit is open. The error is only made if it is asked for."""
        return await self.instead(circuit, circuit.refusal(), args, kwargs)

    def refused_now(self, circuit: Circuit, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """As :meth:`refused`, for plain functions."""
        return self.instead_now(circuit, circuit.refusal(), args, kwargs)

    async def instead(
        self, circuit: Circuit, error: BaseException, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """The first answer of the chain, else the default, else the error."""
        full = bool(self._steps) and not circuit.fallback_begins()
        if self._steps and not full:
            limit = circuit.policy.fallback_timeout
            try:
                for step, asks in self._steps:
                    try:
                        answer = step(*args, **kwargs, error=error) if asks else step(*args, **kwargs)
                        if isinstance(answer, Awaitable):
                            answer = await (answer if limit is None else within(limit, circuit.now, answer))
                    except Exception as second:
                        self._failed(circuit, error, second)
                    else:
                        self._worked(circuit, error)
                        return answer
            finally:
                circuit.fallback_ended()
        try:
            return self._last(circuit, error, full)
        finally:
            del error  # this frame is in its traceback: keeping it would make a ring

    def instead_now(
        self, circuit: Circuit, error: BaseException, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """As :meth:`instead`, for plain functions."""
        full = bool(self._steps) and not circuit.fallback_begins()
        if self._steps and not full:
            try:
                for step, asks in self._steps:
                    try:
                        answer = step(*args, **kwargs, error=error) if asks else step(*args, **kwargs)
                    except Exception as second:
                        self._failed(circuit, error, second)
                    else:
                        self._worked(circuit, error)
                        return answer
            finally:
                circuit.fallback_ended()
        try:
            return self._last(circuit, error, full)
        finally:
            del error

    async def after(
        self,
        circuit: Circuit,
        attempt: Attempt,
        result: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """The long way out with a result. One that came too late, or is a 503, is answered by the chain."""
        try:
            circuit.conclude(attempt, result)
        except CallTimeout as error:
            return await self.instead(circuit, error, args, kwargs)
        if words := circuit.spoke_against(result):
            return await self.instead(circuit, ResilientError(words), args, kwargs)
        return result

    def after_now(
        self,
        circuit: Circuit,
        attempt: Attempt,
        result: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """As :meth:`after`, for plain functions."""
        circuit.conclude(attempt, result)
        if words := circuit.spoke_against(result):
            return self.instead_now(circuit, ResilientError(words), args, kwargs)
        return result

    def _last(self, circuit: Circuit, error: BaseException, full: bool) -> Any:
        if self.value is NOTHING:
            try:
                if full:
                    raise FallbackFull(circuit.name, circuit.policy.fallback_max_concurrent or 0) from error
                raise error
            finally:
                del error
        self._worked(circuit, error)
        return self.value.copy() if isinstance(self.value, _COPIED) else self.value

    def _worked(self, circuit: Circuit, error: BaseException) -> None:
        circuit.count_fallback(True, type(error).__name__)

    def _failed(self, circuit: Circuit, error: BaseException, second: Exception) -> None:
        circuit.count_fallback(False, type(error).__name__)
        with contextlib.suppress(AttributeError):  # an error with slots has no room for it
            error.fallback_error = second  # type: ignore[attr-defined]


def _asks_for_error(step: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(step).parameters
    except (TypeError, ValueError):  # some builtins have no signature to look at
        return False
    parameter = parameters.get("error")
    return parameter is not None and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
