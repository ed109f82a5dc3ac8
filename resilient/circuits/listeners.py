"""A shield around pybreaker listeners, and a breaker that tells us when they come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pybreaker

from ..errors import ResilientError
from .policy import EXCLUDED, FAILURE, SUCCESS, TIMEOUT, Outcome
from .section import Section

_Base = pybreaker.CircuitBreakerListener
Later = Callable[..., None]


class Shield(_Base):
    """Stands before a listener of yours: it hears of things once no lock is held, and what it raises is
    logged. Without it a listener that raises in ``state_change`` leaves pybreaker half-way through a turn.
    """

    def __init__(self, listener: _Base, later: Later) -> None:
        self.listener = listener
        self._later = later
        self._hears_calls = _has_own(listener, "before_call")
        self._hears_success = _has_own(listener, "success")
        self.watches_calls = self._hears_calls or self._hears_success

    def before_call(self, cb: Any, func: Any, *args: Any, **kwargs: Any) -> None:
        if self._hears_calls:
            self._later(self.listener.before_call, cb, func, *args, **kwargs)

    def failure(self, cb: Any, exc: BaseException) -> None:
        self._later(self.listener.failure, cb, exc)

    def success(self, cb: Any) -> None:
        if self._hears_success:
            self._later(self.listener.success, cb)

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self._later(self.listener.state_change, cb, old_state, new_state)


def _has_own(listener: Any, name: str) -> bool:
    method = getattr(listener, name, None)
    return getattr(method, "__func__", method) is not getattr(_Base, name)


class Breaker(pybreaker.CircuitBreaker):
    """pybreaker's own, with shields around listeners and word to the circuit when the set changes."""

    def __init__(
        self, rewire: Callable[[], None], section: Section, listeners: Iterable[_Base] = (), **settings: Any
    ) -> None:
        self._rewire = rewire
        self._later = section.later
        #: Whether there is any listener: asked for each failing call, so that it is not looked up there.
        shields = [Shield(one, self._later) for one in listeners]
        self.heard = bool(shields)
        super().__init__(listeners=shields, **settings)
        # One lock for both: with its own, a breaker turned by hand in one thread and a call that turns the
        # circuit in another would each wait for the lock that the other one holds.
        self._lock = section  # type: ignore[assignment]

    @property
    def _shields(self) -> list[Shield]:
        return [one for one in self.listeners if isinstance(one, Shield)]

    @property
    def watches_calls(self) -> bool:
        """Whether a listener wants to hear of each call: then every call takes the long way."""
        return any(shield.watches_calls for shield in self._shields)

    def hears(self, listener: Any) -> bool:
        """Whether it is one of the listeners."""
        return any(shield.listener is listener for shield in self._shields)

    def tell(self, outcome: Outcome, error: BaseException | None, text: str) -> None:
        """Tell the listeners how a call ended; ``text`` stands for an error that nobody raised."""
        for listener in self._listeners:
            if outcome is SUCCESS or outcome is EXCLUDED:
                listener.success(self)
            elif outcome is FAILURE or outcome is TIMEOUT:
                listener.failure(self, error if error is not None else ResilientError(text))

    def add_listener(self, listener: Any) -> None:
        with self._lock:
            super().add_listener(Shield(listener, self._later))
            self.heard = True
            self._rewire()

    def remove_listener(self, listener: Any) -> None:
        with self._lock:
            for shield in self._shields:
                if shield is listener or shield.listener is listener:
                    super().remove_listener(shield)
                    self.heard = bool(self.listeners)
                    self._rewire()
                    return
        raise ValueError(f"{listener!r} is not a listener of {self.name}")
