"""What a service may say about itself, and where that is read from.

`Settings.load` is the only reader of the environment in the library. Every value remembers its
source, so that ``resilient doctor`` can show who said what.
"""

from __future__ import annotations

import base64
import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from urllib.parse import SplitResult, unquote, urlsplit

from .errors import ConfigError

DEFAULT_REGISTRY = "http://127.0.0.1:8761/eureka/"
PREFIX = "RESILIENT_"
#: Variables that are not ours to judge: circuits' own, and those of the registry program.
FOREIGN = ("RESILIENT_CIRCUIT_", "RESILIENT_REGISTRY_")

_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")
_USERINFO = re.compile(r"(//)?[^/@,]*@")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RegistryAddress:
    """Where a registry is. ``str()`` is its URL; the credentials are kept apart and never shown.

    ``url`` ends with a slash and holds the API's base path: ``http://host:8761/eureka/``.
    ``authorization`` is the value of the header of that name, ``""`` without credentials.
    """

    url: str
    authorization: str = field(default="", repr=False)
    zone: str = ""

    @classmethod
    def parse(cls, text: str, *, token: str = "", zone: str = "") -> Self:
        """Read a URL as people write it: bare, with or without ``/eureka``, ``/v2``, a slash at the end.

        User and password in the URL become Basic credentials, else ``token`` a Bearer one.
        ValueError says what is wrong, without repeating the text.
        """
        text = text.strip()
        if "://" not in text:
            text = f"http://{text}"
        if _UNSAFE.search(text):
            raise ValueError("holds a blank or another character that no URL may hold")
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https"):
            raise ValueError("must start with http:// or https://")
        if not parts.hostname or not _HOST.fullmatch(parts.hostname):
            raise ValueError("names no host")
        if parts.query or parts.fragment:
            raise ValueError("must end with the path, without ? or #")
        port = _port_of(parts)
        path = "/".join(step for step in parts.path.split("/") if step)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        url = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}/{path or 'eureka'}/"
        return cls(url, _authorization(parts, token), zone)

    @property
    def root(self) -> str:
        """The registry program's own root, without the API's path and without a trailing slash."""
        root = self.url.rstrip("/").removesuffix("/v2")
        return root.removesuffix("/eureka")

    def __str__(self) -> str:
        return self.url


def _port_of(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has a port that is not between 1 and 65535")
    return port


def _authorization(parts: SplitResult, token: str) -> str:
    if parts.username is None and parts.password is None:
        return f"Bearer {token}" if token else ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


# Readers: from text or a Python value to the setting; ValueError says what was expected.


def _text(value: object) -> str:
    return str(value).strip()


def _service(value: object) -> str:
    name = str(value).strip().lower()
    if name and not _SERVICE.fullmatch(name):
        raise ValueError("must be a letter or digit, then letters, digits, '.', '_' or '-', 128 at most")
    return name


def _host(value: object) -> str:
    host = str(value).strip().removeprefix("[").removesuffix("]")
    if host and not _HOST.fullmatch(host):
        raise ValueError("must be a host name or an IP address, without scheme or path")
    return host


def _secret(value: object) -> str:
    token = str(value).strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("must be printable ASCII without blanks")
    return token


def _port(value: object) -> int:
    if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,5}", str(value).strip()):
        port = int(str(value))
        if port <= 65535:
            return port
    raise ValueError("must be a whole number between 0 and 65535")


def _switch(value: object) -> bool:
    word = str(value).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be 1 or 0 (or true, false, yes, no, on, off)")


def _seconds(least: float, most: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        try:
            seconds = float(str(value).strip().removesuffix("s"))
        except ValueError:
            seconds = -1.0
        if isinstance(value, bool) or not least <= seconds <= most:
            raise ValueError(f"must be seconds between {least:g} and {most:g}")
        return seconds

    return read


def _metadata(value: object) -> Mapping[str, str]:
    if isinstance(value, Mapping):
        pairs = [(str(key), str(text)) for key, text in value.items()]
    else:
        pairs = []
        for part in filter(None, (piece.strip() for piece in str(value).split(","))):
            key, equals, text = part.partition("=")
            if not equals or not key.strip():
                raise ValueError("must be key=value pairs, separated by commas")
            pairs.append((key.strip(), text.strip()))
    if len(pairs) > 128:
        raise ValueError("may hold 128 entries at most")
    return MappingProxyType(dict(pairs))


def _registry(value: object) -> tuple[RegistryAddress, ...]:
    parts: Iterable[object] = value.split(",") if isinstance(value, str) else _listed(value)
    found: list[RegistryAddress] = []
    for part in parts:
        address = part if isinstance(part, RegistryAddress) else None
        if address is None and str(part).strip():
            address = RegistryAddress.parse(str(part))
        if address is not None and all(address.url != one.url for one in found):
            found.append(address)
    if len(found) > 32:
        raise ValueError("may name 32 registries at most")
    return tuple(found)


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _option(
    default: Any,
    read: Callable[[object], object],
    cure: str,
    *,
    also: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """A setting: its default, how it is read, a good value to show, other variables that name it."""
    about = {"read": read, "cure": cure, "also": also, "secret": secret}
    if isinstance(default, MappingProxyType):  # immutable, but dataclasses only see that it has no hash
        return field(default_factory=lambda: default, metadata=about, repr=not secret)
    return field(default=default, metadata=about, repr=not secret)


class Row(NamedTuple):
    """One setting for showing: secrets are masked. ``variable`` is the environment variable to set."""

    name: str
    value: str
    source: str
    variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a service may say about itself. Durations are seconds.

    ``host`` ``""`` means the address from which the registry is reached, ``service`` ``""`` means not
    registered, only looking. ``port`` and ``admin_port`` 0 mean whatever is bound. ``accept_empty``
    believes an emptied list from a registry at once, even where several registries are known.
    """

    registry: tuple[RegistryAddress, ...] = _option(
        (), _registry, "http://127.0.0.1:8761/eureka/", also=("EUREKA_CLIENT_SERVICEURL_DEFAULTZONE",)
    )
    service: str = _option("", _service, "orders")
    host: str = _option("", _host, "10.0.0.7")
    port: int = _option(0, _port, "8080")
    zone: str = _option("default", _text, "eu-west-1a")
    metadata: Mapping[str, str] = _option(_NOTHING, _metadata, "version=2.4,canary=yes")
    token: str = _option("", _secret, "a token without blanks", secret=True)
    admin_token: str = _option("", _secret, "a token without blanks", secret=True)
    admin_port: int = _option(0, _port, "9090")
    admin_host: str = _option("127.0.0.1", _host, "0.0.0.0")
    enabled: bool = _option(True, _switch, "0")
    settings: str = _option("", _text, "/etc/orders/settings.toml")
    register: bool = _option(True, _switch, "0")
    sign_out: bool = _option(True, _switch, "0")
    mdns: bool = _option(True, _switch, "0")
    accept_empty: bool = _option(False, _switch, "1")
    fetch_interval: float = _option(5.0, _seconds(0.05, 3600), "5")
    renew_every: float = _option(30.0, _seconds(1, 3600), "30")
    expire_after: float = _option(90.0, _seconds(2, 86_400), "90")
    push_interval: float = _option(5.0, _seconds(0.05, 3600), "5")
    wait_for_instances: float = _option(0.0, _seconds(0, 3600), "3")

    #: Where each value came from: ``argument``, ``default``, or the name of an environment variable.
    sources: Mapping[str, str] = field(default_factory=lambda: _NOTHING, compare=False, repr=False)
    #: ``RESILIENT_*`` variables nobody reads, each with the name that was probably meant, or ``""``.
    unknown: Mapping[str, str] = field(default_factory=lambda: _NOTHING, compare=False, repr=False)
    #: Every ``RESILIENT_CIRCUIT_*`` variable, raw.
    circuit_variables: Mapping[str, str] = field(default_factory=lambda: _NOTHING, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.expire_after <= self.renew_every:
            raise ConfigError(
                f"expire_after must be longer than renew_every, got {self.expire_after:g} "
                f"({self.source('expire_after')}) and {self.renew_every:g} ({self.source('renew_every')}); "
                "three times as long leaves two misses"
            )
        if self.token:
            known = tuple(
                one if one.authorization else dataclasses.replace(one, authorization=f"Bearer {self.token}")
                for one in self.registry
            )
            object.__setattr__(self, "registry", known)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: object) -> Self:
        """Settings from arguments (``None`` means not given), then the environment, then defaults.

        ConfigError names the setting, where it came from, its value and the cure, in one line.
        """
        environ = os.environ if environ is None else environ
        options = _options()
        for name in given:
            if name not in options:
                raise ConfigError(f"there is no setting {name!r}{_meant(name, options)}")
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for name, about in options.items():
            value, source = _found(name, about.metadata["also"], given, environ)
            if source != "default":
                values[name] = _read(name, value, source, about.metadata)
            sources[name] = source
        return cls(
            **values,
            sources=MappingProxyType(sources),
            unknown=MappingProxyType(_unknown(environ, options)),
            circuit_variables=MappingProxyType(
                {name: text for name, text in environ.items() if name.startswith("RESILIENT_CIRCUIT_")}
            ),
        )

    def source(self, name: str) -> str:
        """Where a value came from; an object made by hand has nothing but arguments and defaults."""
        if name in self.sources:
            return self.sources[name]
        about = _options()[name]
        made = about.default_factory
        default = about.default if made is dataclasses.MISSING else made()
        return "default" if getattr(self, name) == default else "argument"

    @property
    def shown_registry(self) -> str:
        """The registries' URLs without credentials, separated by commas; ``""`` if none is named."""
        return ",".join(one.url for one in self.registry)

    def rows(self) -> list[Row]:
        """All settings with their sources, for showing; no secret among them."""
        return [
            Row(
                name, _shown(getattr(self, name), about.metadata["secret"]), self.source(name), variable(name)
            )
            for name, about in _options().items()
        ]

    def circuit(self, name: str, options: Iterable[str] | None = None) -> Mapping[str, str]:
        """What the environment says about one circuit, raw, by option in lower case.

        ``RESILIENT_CIRCUIT_ORDERS_TIMEOUT=2`` gives ``{"timeout": "2"}`` for ``orders``. With
        ``options`` only those are looked for; without, a variable of a circuit ``orders-eu`` is also
        taken for an option of ``orders``, since nothing tells the two apart.
        """
        prefix = circuit_variable(name, "")
        found = {
            text.removeprefix(prefix).lower(): value
            for text, value in self.circuit_variables.items()
            if text.startswith(prefix) and len(text) > len(prefix)
        }
        return found if options is None else {key: found[key] for key in options if key in found}


def variable(name: str) -> str:
    """The environment variable of a setting: ``fetch_interval`` is ``RESILIENT_FETCH_INTERVAL``."""
    return PREFIX + name.upper()


def circuit_variable(name: str, option: str) -> str:
    """The environment variable of one circuit's option: ``RESILIENT_CIRCUIT_SHOP_PRICE_TIMEOUT``."""
    return f"RESILIENT_CIRCUIT_{re.sub('[^A-Z0-9]', '_', name.upper())}_{option.upper()}"


def _options() -> dict[str, dataclasses.Field[Any]]:
    return {one.name: one for one in dataclasses.fields(Settings) if "read" in one.metadata}


def _found(
    name: str, also: tuple[str, ...], given: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[object, str]:
    if given.get(name) is not None:
        return given[name], "argument"
    for source in (variable(name), *also):
        if environ.get(source, "").strip():  # an empty variable is one that was not set
            return environ[source], source
    return None, "default"


def _read(name: str, value: object, source: str, about: Mapping[str, Any]) -> object:
    try:
        return about["read"](value)
    except ValueError as error:
        got = "(not shown)" if about["secret"] else _quoted(value)
        where = "the argument" if source == "argument" else source
        cure = f"write {name}={about['cure']!r}" if source == "argument" else f"set {source}={about['cure']}"
        raise ConfigError(f"{name} {error}, got {got} from {where}; {cure}") from None


def _quoted(value: object) -> str:
    text = _USERINFO.sub(r"\1***@", str(value))
    return ascii(text if len(text) <= 200 else text[:200] + "...")


def _shown(value: object, secret: bool) -> str:
    if secret:
        return "***" if value else ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={text}" for key, text in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unknown(environ: Mapping[str, str], options: Iterable[str]) -> dict[str, str]:
    known = {name.upper(): variable(name) for name in options}
    unread: dict[str, str] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known.values() and not name.startswith(FOREIGN):
            # The prefix they all share would make any two look alike.
            close = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1)
            unread[name] = known[close[0]] if close else ""
    return unread


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
