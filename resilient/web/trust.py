"""Who is calling, and what that gives them the right to (pure).

Identity comes from the connection and from ``Authorization``, never from a header that says so.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..clock import SYSTEM, Clock
from ..errors import ConfigError

MIN_TOKEN = 16
_MAX_AUTHORIZATION = 4096
#: No address is longer, with the name of a network interface behind it.
_LONGEST_ADDRESS = 64
_HOST = re.compile(
    r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}))?)(?::([0-9]{0,5}))?"
)
_PROXY_MARKS = frozenset({"forwarded", "via", "origin"})


def split_host(value: str) -> tuple[str, int | None] | None:
    """A ``Host`` header as name in lower case and port, or ``None`` when it is not one (S-13)."""
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    literal, name, port = match.groups()
    if literal is not None:
        try:
            ipaddress.IPv6Address(literal)
        except ValueError:
            return None
    number = int(port) if port else None
    if number is not None and number > 65535:
        return None
    host = literal or name or ""
    return (host.lower(), number) if host else None


def is_literal(name: str) -> bool:
    """Whether ``name`` is an address rather than a name that somebody's DNS could answer for."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback_address(address: str) -> bool:
    """Whether ``address`` is this machine's loopback, also when written as IPv4 within IPv6."""
    return len(address) <= _LONGEST_ADDRESS and _is_loopback(address)


# Asked for twice a request, of few peers: reading an address costs more than the rest of the guard.
@lru_cache(maxsize=1024)
def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback


def is_loopback_name(name: str) -> bool:
    """Whether a host name means loopback whatever anybody's DNS says."""
    return name == "localhost" or is_loopback_address(name)


def source(address: str) -> str:
    """What counts as one caller: an IPv4 address, or an IPv6 /64 (one machine may own all of it)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def is_local_call(peer: str, headers: Mapping[str, str]) -> bool:
    """Loopback as a right: a loopback peer and Host, and no sign of a proxy or of a web page in between."""
    if not is_loopback_address(peer):
        return False
    host = split_host(headers.get("Host", ""))
    if host is None or not is_loopback_name(host[0]):
        return False
    for name in headers:
        lowered = name.lower()
        if lowered in _PROXY_MARKS or lowered.startswith("x-forwarded-"):
            return False
    return True


def presented_token(authorization: str) -> bytes | None:
    """The token in an ``Authorization`` header: ``Bearer token``, or the password of ``Basic`` (any user)."""
    if len(authorization) > _MAX_AUTHORIZATION:
        return b""
    scheme, _, rest = authorization.strip().partition(" ")
    value = rest.strip().encode("utf-8", "surrogateescape")
    match scheme.lower():
        case "bearer":
            return value
        case "basic":
            try:
                _, _, password = base64.b64decode(value, validate=True).partition(b":")
            except (binascii.Error, ValueError):
                return b""
            return password
        case _:
            return b""


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller's rights. ``retry_after`` above zero: too many wrong tokens came from there, answer 429."""

    address: str
    is_loopback: bool = False
    has_token: bool = False
    has_read_token: bool = False
    wrong_token: bool = False
    retry_after: float = 0.0


class Failures:
    """Wrong tokens per caller: ``allowed`` within ``seconds``, of at most ``known`` callers (S-07)."""

    def __init__(
        self, clock: Clock = SYSTEM, *, allowed: int = 10, seconds: float = 60.0, known: int = 4096
    ) -> None:
        self._clock = clock
        self._allowed = allowed
        self._seconds = seconds
        self._known = known
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, address: str) -> None:
        """Remember one wrong token."""
        key = source(address)
        moments = self._seen.setdefault(key, deque(maxlen=self._allowed))
        moments.append(self._clock.monotonic())
        self._seen.move_to_end(key)
        while len(self._seen) > self._known:
            self._seen.popitem(last=False)

    def none(self) -> bool:
        """Whether nobody tried a wrong token lately."""
        seen = self._seen
        while seen:
            if self._clock.monotonic() - next(iter(seen.values()))[-1] < self._seconds:
                return False
            seen.popitem(last=False)
        return True

    def wait(self, address: str) -> float:
        """Seconds until this caller may try again; 0 when it may now."""
        if not self._seen:
            return 0.0
        key = source(address)
        moments = self._seen.get(key)
        if moments is None:
            return 0.0
        now = self._clock.monotonic()
        if now - moments[-1] >= self._seconds:
            del self._seen[key]
            return 0.0
        if len(moments) < self._allowed:
            return 0.0
        return max(0.0, moments[0] + self._seconds - now)


class Trust:
    """Turns a peer address and headers into a :class:`Caller`.

    ``token`` opens everything, ``read_token`` reading only; ``None`` means there is none. Neither is kept,
    only its SHA-256. Raises :class:`ConfigError` for a token of fewer than 16 characters (S-06).
    """

    def __init__(
        self,
        token: str | None = None,
        read_token: str | None = None,
        *,
        clock: Clock = SYSTEM,
        failures: Failures | None = None,
    ) -> None:
        self._token = _digest("token", token)
        self._read_token = _digest("read token", read_token)
        if self._token is not None and self._token == self._read_token:
            raise ConfigError("token and read token must differ")
        # `or` would take an empty one for none.
        self._failures = Failures(clock) if failures is None else failures

    @property
    def needs_token(self) -> bool:
        """Whether writing takes a token."""
        return self._token is not None

    @property
    def needs_read_token(self) -> bool:
        """Whether reading takes a token, too."""
        return self._read_token is not None

    def caller(self, peer: str | None, headers: Mapping[str, str]) -> Caller:
        """Who calls. ``headers`` must find names in any case, as aiohttp's and httpx's do."""
        address = peer or ""
        local = is_local_call(address, headers)
        given = headers.get("Authorization")
        if given is None or (self._token is None and self._read_token is None):
            return Caller(address, is_loopback=local)
        if wait := self._failures.wait(address):
            return Caller(address, is_loopback=local, retry_after=wait)
        digest = hashlib.sha256(presented_token(given) or b"").digest()
        # Both compared always, so that time tells nothing about which of the two it was.
        full = hmac.compare_digest(digest, self._token or b"\0" * 32)
        read = hmac.compare_digest(digest, self._read_token or b"\0" * 32)
        if not full and not read:
            self._failures.add(address)
            return Caller(address, is_loopback=local, wrong_token=True)
        return Caller(address, is_loopback=local, has_token=full, has_read_token=True)

    @property
    def calm(self) -> bool:
        """Whether nobody tried a wrong token lately. Else :meth:`caller` must decide about everybody."""
        return self._failures.none()


def _digest(what: str, token: str | None) -> bytes | None:
    if token is None:
        return None
    if len(token) < MIN_TOKEN:
        raise ConfigError(f"the {what} must have at least {MIN_TOKEN} characters, not {len(token)}")
    if not token.isprintable() or any(c.isspace() for c in token):
        raise ConfigError(f"the {what} must have no blanks and no control characters")
    return hashlib.sha256(token.encode()).digest()


def host_allowed(name: str, allowed: Iterable[str] = ()) -> bool:
    """Whether a Host cannot have been rebound: an address, ``localhost``, or one of ``allowed`` (S-13)."""
    return name == "localhost" or is_literal(name) or name in allowed
