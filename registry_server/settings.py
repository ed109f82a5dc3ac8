"""What a registry may be told: by argument, else by environment, else by default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from resilient.errors import ConfigError
from resilient.settings import RegistryAddress
from resilient.web.trust import MIN_TOKEN

from .caps import MOST_INSTANCES, Caps
from .peers.cluster import WAIT
from .peers.line import Timing
from .preservation import PreservationPolicy
from .ratelimit import Rates

PREFIX = "RESILIENT_REGISTRY_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``port`` 0 takes any free one. ``token`` opens writes and actions; ``read_token``, if there is one,
    is needed for reads. ``lease_factor`` is how many durations after its last heartbeat an instance is
    removed; Eureka's own server takes 2. ``peers`` are the other registries, and ``peer_wait`` the seconds
    reads are refused at most while none of them gives its list. ``delta`` offers clients the changes alone.
    ``rates`` limits fetches. ``snapshot`` is the file the directory is kept in over a restart, "" for none.
    ``mdns`` announces it on the local network, unless it is bound to loopback.
    ``max_instances`` is how many the registry takes, a tenth of them in one service; ``caps`` overrules it.
    ``strict`` is that of :class:`.leases.LeaseTable`, and makes the factor 2.
    ConfigError for what cannot work."""

    host: str = "127.0.0.1"
    port: int = 8761
    token: str = field(default="", repr=False)
    read_token: str = field(default="", repr=False)
    zone: str = ""
    lease_factor: float = 1.0
    ui: bool = True
    peers: tuple[RegistryAddress, ...] = ()
    peer_wait: float = WAIT
    peer_timing: Timing = field(default_factory=Timing)
    delta: bool = True
    mdns: bool = True
    rates: Rates | None = None
    strict: bool = False
    snapshot: str = ""
    max_instances: int = MOST_INSTANCES
    caps: Caps | None = None
    preservation: PreservationPolicy = field(default_factory=PreservationPolicy)

    def __post_init__(self) -> None:
        if not self.host or self.host != self.host.strip():
            raise ConfigError("host must be an address or a name, got an empty one")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port must be 0 to 65535, got {self.port}")
        if not 1 <= self.max_instances <= 10_000_000:
            raise ConfigError(f"max_instances must be 1 to 10000000, got {self.max_instances}")
        if self.lease_factor not in (1, 2):
            raise ConfigError(f"lease_factor must be 1 or 2, got {self.lease_factor:g}")
        if not 0 <= self.peer_wait <= 86_400:
            raise ConfigError(f"peer_wait must be 0 to 86400 seconds, got {self.peer_wait:g}")
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

    @property
    def room(self) -> Caps:
        """How much the registry takes."""
        most = self.max_instances
        few = Caps(instances=most)
        if most <= few.per_service:
            return self.caps or few
        return self.caps or Caps(instances=most, per_service=max(few.per_service, most // 10))

    @property
    def factor(self) -> float:
        """The lease factor in force."""
        return 2.0 if self.strict else self.lease_factor


def read_settings(
    *,
    host: str | None = None,
    port: int | None = None,
    token: str | None = None,
    read_token: str | None = None,
    zone: str | None = None,
    peers: str | None = None,
    peer_wait: float | None = None,
    delta: bool | None = None,
    rate_limit: bool | None = None,
    self_preservation: bool | None = None,
    strict_eureka: bool | None = None,
    mdns: bool | None = None,
    snapshot: str | None = None,
    max_instances: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from arguments, and for those that are None from ``RESILIENT_REGISTRY_*``.

    ``peers`` are URLs with commas between them.
    """
    env = os.environ if env is None else env
    return Settings(
        host=_text("HOST", host, "127.0.0.1", env),
        port=port if port is not None else _port(env),
        token=_token("TOKEN", token, env),
        read_token=_token("READ_TOKEN", read_token, env),
        zone=_text("ZONE", zone, "", env),
        peers=_peers(_text("PEERS", peers, "", env)),
        peer_wait=peer_wait if peer_wait is not None else _seconds("PEER_WAIT", WAIT, env),
        delta=_switch("DELTA", delta, True, env),
        mdns=_switch("MDNS", mdns, True, env),
        rates=Rates() if _switch("RATE_LIMIT", rate_limit, False, env) else None,
        preservation=PreservationPolicy(enabled=_switch("SELF_PRESERVATION", self_preservation, True, env)),
        snapshot=_text("SNAPSHOT", snapshot, "", env),
        max_instances=max_instances if max_instances is not None else _most(env),
        strict=_switch("STRICT_EUREKA", strict_eureka, False, env),
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


def _most(env: Mapping[str, str]) -> int:
    text = env.get(PREFIX + "MAX_INSTANCES") or str(MOST_INSTANCES)
    if not (text.isascii() and text.isdigit() and len(text) <= 8):
        raise ConfigError(f"{PREFIX}MAX_INSTANCES must be a whole number")
    return int(text)


def _peers(text: str) -> tuple[RegistryAddress, ...]:
    found = []
    for number, one in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        try:
            found.append(RegistryAddress.parse(one))
        except ValueError as error:
            # Which one, and not what it says: it may hold a password.
            raise ConfigError(f"peers: the URL number {number} {error}") from None
    return tuple(dict.fromkeys(found))


def _seconds(name: str, default: float, env: Mapping[str, str]) -> float:
    text = env.get(PREFIX + name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise ConfigError(f"{PREFIX}{name} must be a number of seconds from 0 to 86400")
    return value


def _switch(name: str, given: bool | None, default: bool, env: Mapping[str, str]) -> bool:
    if given is not None:
        return given
    text = env.get(PREFIX + name, "").strip().lower()
    if not text:
        return default
    if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ConfigError(f"{PREFIX}{name} must be on or off")
    return text in ("1", "true", "yes", "on")
