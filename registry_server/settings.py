"""What a registry may be told: by argument, else by environment, else by default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from resilient.errors import ConfigError
from resilient.web.trust import MIN_TOKEN

from .leases import Caps
from .preservation import PreservationPolicy

PREFIX = "RESILIENT_REGISTRY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``port`` 0 takes any free one. ``token`` opens writes and actions; ``read_token``, if there is one,
    is needed for reads. ``lease_factor`` is how many durations after its last heartbeat an instance is
    removed; Eureka's own server takes 2. ConfigError for what cannot work."""

    host: str = "127.0.0.1"
    port: int = 8761
    token: str = field(default="", repr=False)
    read_token: str = field(default="", repr=False)
    zone: str = ""
    lease_factor: float = 1.0
    ui: bool = True
    caps: Caps = field(default_factory=Caps)
    preservation: PreservationPolicy = field(default_factory=PreservationPolicy)

    def __post_init__(self) -> None:
        if not self.host or self.host != self.host.strip():
            raise ConfigError("host must be an address or a name, got an empty one")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be 0 to 65535, got {self.port}")
        if self.lease_factor not in (1, 2):
            raise ConfigError(f"lease_factor must be 1 or 2, got {self.lease_factor:g}")
        for name, value in (("token", self.token), ("read_token", self.read_token)):
            if value and (
                len(value) < MIN_TOKEN or not value.isascii() or not value.isprintable() or " " in value
            ):
                # The value itself stays out of the message.
                raise ConfigError(
                    f"{name} must be at least {MIN_TOKEN} printable ASCII characters without blanks"
                )
        if self.token and self.token == self.read_token:
            raise ConfigError("token and read_token must differ, or reading would be writing")


def read_settings(
    *,
    host: str | None = None,
    port: int | None = None,
    token: str | None = None,
    read_token: str | None = None,
    zone: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from arguments, and for those that are None from ``RESILIENT_REGISTRY_*``."""
    env = os.environ if env is None else env
    return Settings(
        host=_text("HOST", host, "127.0.0.1", env),
        port=port if port is not None else _port(env),
        token=_token("TOKEN", token, env),
        read_token=_token("READ_TOKEN", read_token, env),
        zone=_text("ZONE", zone, "", env),
    )


def _text(name: str, given: str | None, default: str, env: Mapping[str, str]) -> str:
    return given if given is not None else env.get(PREFIX + name) or default


def _token(name: str, given: str | None, env: Mapping[str, str]) -> str:
    """A token that was given must not be empty: that would open what was meant to be closed."""
    value = given if given is not None else env.get(PREFIX + name)
    if value is None:
        return ""
    if not value:
        raise ConfigError(f"{name.lower()} must not be empty; leave it out for a registry without one")
    return value


def _port(env: Mapping[str, str]) -> int:
    text = env.get(PREFIX + "PORT") or "8761"
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise ConfigError(f"{PREFIX}PORT must be a number from 0 to 65535")
    return int(text)
