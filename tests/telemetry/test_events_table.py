"""The events: their names are stable, and docs/telemetry.md says of each what it is, as the source does."""

import dataclasses
import re
from pathlib import Path

import pytest

from resilient import events
from resilient.events import LOGGED, Event
from resilient.telemetry.logs import name_of

DOCS = Path(__file__).parents[2] / "docs" / "telemetry.md"

#: People's alerts and searches hang on these. A new one is added; none is changed.
STABLE = {
    "answered_from_cache": "circuit",
    "call_ended": "circuit outcome seconds error",
    "calls_collapsed": "circuit calls keys",
    "circuit_changed": "circuit old new reason by",
    "config_changed": "circuit changes by",
    "directory_changed": "services",
    "fallback_used": "circuit cause worked",
    "feed_changed": "url what detail",
    "instance_ejected": "service instance seconds reason",
    "instance_restored": "service instance",
    "lease_changed": "service instance what detail",
    "operator_acted": "circuit action by reason until command",
    "registry_changed": "url what detail",
    "retry_denied": "circuit error",
    "service_ending": "service instance what seconds",
    "settings_read": "path circuits problem",
}
KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]


def fields(kind) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name != "at"]


def levels(kind) -> str:
    """The usual level, and the other one of an event whose level depends on what it says."""
    texts = dict.fromkeys(fields(kind), "x")
    found = {kind.level}
    for field, value in [("new", "closed"), ("what", "connected"), ("problem", ""), ("problem", "bad")]:
        if field in texts:
            found.add(kind(**{**texts, field: value}).severity)
    return ", ".join([kind.level, *sorted(found - {kind.level})])


def meaning(kind) -> str:
    first = re.split(r"(?<=\.)\s", " ".join((kind.__doc__ or "").split()), maxsplit=1)[0]
    return first.replace("``", "`")


def row(kind) -> str:
    said = ", ".join(f"`{name}`" for name in fields(kind))
    if kind in LOGGED:
        return f"| `{name_of(kind)}` | {levels(kind)} | {said} | {meaning(kind)} |"
    return f"| `{kind.__name__}` | {said} | {meaning(kind)} |"


def rows(begin: str) -> list[str]:
    (table,) = re.findall(rf"<!-- {begin} -->\n(.*?)\n<!-- end -->", DOCS.read_text(), re.DOTALL)
    return table.splitlines()


def test_the_docs_have_every_event_as_the_source_has_it() -> None:
    assert rows("logged events") == sorted(row(kind) for kind in KINDS if kind in LOGGED)
    assert rows("quiet events") == sorted(row(kind) for kind in KINDS if kind not in LOGGED)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_fields_stay(kind) -> None:
    assert " ".join(fields(kind)) == STABLE[name_of(kind)]
    assert kind.level in ("debug", "info", "warning")
    assert meaning(kind).endswith(".")


def test_none_has_gone() -> None:
    assert {name_of(kind) for kind in KINDS} == set(STABLE)
    assert set(LOGGED) <= set(KINDS)
