"""Which value of a setting holds: what the code says, and who may overrule it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import ConfigError
from .policy import TEXT_OPTIONS, CircuitPolicy

_DEFAULTS = CircuitPolicy()
#: Decided when the function is decorated, or the first call made.
FIXED = ("isolation", "thread_pool")
#: Where a value comes from that somebody gave to a circuit at work.
RUN_TIME = "run time"


class Given(NamedTuple):
    """A value, and where it came from, in words for people."""

    value: Any
    source: str


Layer = Mapping[str, Given]
NOTHING: Layer = MappingProxyType({})


class Layers(NamedTuple):
    """What was said about one circuit besides its code, from the weakest to the strongest.

    ``everywhere`` is said of all circuits at once, so it only fills in what the code leaves at its default;
    each of the others overrules the code and those before it.
    """

    everywhere: Layer = NOTHING
    file: Layer = NOTHING
    environment: Layer = NOTHING
    run_time: Layer = NOTHING

    def over(self, code: CircuitPolicy) -> CircuitPolicy:
        """The policy that holds. Raises ConfigError for a value that makes no sense."""
        chosen = self.chosen(code)
        return code.but(**{name: one.value for name, one in chosen.items()}) if chosen else code

    def chosen(self, code: CircuitPolicy) -> dict[str, Given]:
        """The values that are neither the code's nor defaults, by setting."""
        if self == _EMPTY:
            return {}
        filled = {
            name: one
            for name, one in self.everywhere.items()
            if getattr(code, name) == getattr(_DEFAULTS, name)
        }
        return {**filled, **self.file, **self.environment, **self.run_time}

    def source(self, name: str, code: CircuitPolicy) -> str:
        """Where the value of a setting comes from: ``default``, ``code``, or what its giver said."""
        found = self.chosen(code).get(name)
        if found is not None:
            return found.source
        return "default" if getattr(code, name) == getattr(_DEFAULTS, name) else "code"


_EMPTY = Layers()


def checked(values: Mapping[str, object], where: str, *, text: bool = False) -> dict[str, Any]:
    """Settings as a file or an operator gives them: numbers, switches, or text as variables have it.

    With ``text`` only those that can be written outside of code. Raises ConfigError, naming ``where``.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name in FIXED:
            raise ConfigError(
                f"{where}{name} is decided where the function is decorated, not at run time; take it out"
            )
        if text and name not in TEXT_OPTIONS:
            import difflib

            near = difflib.get_close_matches(name, TEXT_OPTIONS, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(TEXT_OPTIONS)}"
            raise ConfigError(f"{where}{name}: no such setting; {cure}")
        if text and isinstance(value, str):
            try:
                found[name] = getattr(_DEFAULTS.override({name: value}), name)
            except ConfigError:
                raise ConfigError(
                    f"{where}{name}: {value[:100]!r} is not a value for it; {_cure(name)}"
                ) from None
            continue
        try:
            found[name] = getattr(_DEFAULTS.but(**{name: value}), name)
        except ConfigError as error:
            cure = f"; {_cure(name)}" if text else ""
            raise ConfigError(f"{where}{str(error)[:300]}{cure}") from None
    return found


def quoted(name: str) -> str:
    """A circuit's name as the key of a section in TOML."""
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else f'"{name}"'


def _cure(name: str) -> str:
    default = getattr(_DEFAULTS, name)
    if default is None:
        shown = '"none"'
    else:
        shown = str(default).lower() if isinstance(default, bool) else f"{default:g}"
    return f"write for instance {name} = {shown}"
