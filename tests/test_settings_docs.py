"""docs/configuration.md names every setting, with its variable and its default."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from registry_server.settings import read_settings
from resilient.circuits.policy import TEXT_OPTIONS, CircuitPolicy
from resilient.cli import _COMMANDS
from resilient.settings import DEFAULT_REGISTRY, Settings

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "configuration.md").read_text()


def row(name: str) -> list[str]:
    """The cells of the row that begins with ``name``."""
    found = re.findall(rf"^\| `{re.escape(name)}` \|.*$", TEXT, re.MULTILINE)
    assert len(found) == 1, f"{name}: {len(found)} rows"
    return [cell.strip().strip("`") for cell in found[0].strip("|").split("|")]


def plain(value: object) -> str:
    """A value as it is written into a variable."""
    if isinstance(value, bool):
        return str(int(value))
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


@pytest.mark.parametrize("one", Settings().rows(), ids=lambda one: one.name)
def test_a_setting(one) -> None:
    name, variable, default, meaning = row(one.name)
    assert variable == one.variable
    value = getattr(Settings(), name)
    assert default == (plain(value) if isinstance(value, str | int | float) else one.value)
    assert len(meaning) > 10


@pytest.mark.parametrize("name", TEXT_OPTIONS)
def test_a_circuits_option(name: str) -> None:
    _, variable, default, meaning = row(name)
    assert variable == f"RESILIENT_CIRCUIT_<NAME>_{name.upper()}"
    assert default == plain(getattr(CircuitPolicy(), name))
    assert len(meaning) > 10


@pytest.mark.parametrize("name", [one for one in inspect.signature(read_settings).parameters if one != "env"])
def test_an_option_of_the_registry(name: str) -> None:
    from registry_server.settings import Settings as Registry

    on = {"delta": True, "mdns": True, "self_preservation": True, "rate_limit": False, "strict_eureka": False}
    option = name.replace("_", "-")
    _, variable, default, _ = row(f"--no-{option}" if on.get(name) else f"--{option}")
    assert variable == f"RESILIENT_REGISTRY_{name.upper()}"
    if name in on:
        assert default == str(int(on[name]))
        return
    value = getattr(Registry(), name)
    assert default == ("" if value == () else f"{value:g}" if isinstance(value, float) else str(value))


def test_nothing_else_is_named() -> None:
    known = {one.variable for one in Settings().rows()}
    known |= {f"RESILIENT_REGISTRY_{name.upper()}" for name in inspect.signature(read_settings).parameters}
    named = set(re.findall(r"RESILIENT_[A-Z_]+[A-Z]", TEXT))
    assert {one for one in named - known if not one.startswith("RESILIENT_CIRCUIT")} == {"RESILIENT_DEBUG"}


def test_the_search_order_names_the_default_and_the_aliases() -> None:
    assert DEFAULT_REGISTRY in TEXT
    for field in dataclasses.fields(Settings):
        for other in field.metadata.get("also", ()):
            assert other in TEXT


def test_every_command_is_described() -> None:
    said = (DOCS / "cli.md").read_text()
    for command in _COMMANDS.values():
        assert f"`resilient {command.usage}`".replace("|", "\\|") in said
