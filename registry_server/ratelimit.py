"""How many fetches a second are answered. Pure. Off unless asked for.

Callers name themselves, and those who say they are Eureka's own client or server are let through: this
sheds load, and protects from nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from resilient.clock import Clock

#: The identities, in ``DiscoveryIdentity-Name``, that are never refused.
PRIVILEGED = frozenset({"DefaultClient", "DefaultServer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Fetches at once (``burst``), fetches a second, and fetches of everything a second."""

    burst: int = 10
    fetches: float = 500.0
    full: float = 100.0


class Bucket:
    """Holds ``burst`` tokens, and gets ``rate`` of them a second."""

    def __init__(self, clock: Clock, burst: int, rate: float) -> None:
        self._clock = clock
        self._burst = float(burst)
        self._rate = rate
        self._tokens = self._burst
        self._at = clock.monotonic()

    def take(self) -> bool:
        """Whether there was a token."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class RateLimiter:
    """Decides for each fetch."""

    def __init__(self, clock: Clock, rates: Rates) -> None:
        self._all = Bucket(clock, rates.burst, rates.fetches)
        self._full = Bucket(clock, rates.burst, rates.full)

    def allows(self, identity: str | None, *, full: bool) -> bool:
        """Whether to answer who calls himself ``identity``; ``full`` if he wants everything."""
        if identity in PRIVILEGED:
            return True
        return self._all.take() and (not full or self._full.take())
