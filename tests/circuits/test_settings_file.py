"""The settings file: which value holds, from where, from when on, and what is said of a bad one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from circuit_kit import Still

from resilient import ConfigError, Runtime, circuit
from resilient.background import shared
from resilient.circuits import sections
from resilient.circuits.sections import SettingsFile, parse
from resilient.clock import ManualClock
from resilient.events import ConfigChanged, Event, SettingsRead
from resilient.settings import Settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def write(path: Path, text: str) -> None:
    """As editors do it: a new file in place of the old one, so that no clock's grain matters."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def runtime_with(path: Path, **environment: str) -> Runtime:
    settings = Settings.load({"RESILIENT_SETTINGS": str(path), **environment})
    return Runtime(settings=settings, clock=ManualClock(), rng=Still())


def row(call: Any, name: str) -> tuple[str, str]:
    found = next(one for one in call.settings() if one.name == name)
    return found.value, found.source


def look(runtime: Runtime) -> None:
    file = runtime.circuits._settings
    assert file is not None
    file.look()


def test_who_overrules_whom(path):
    path.write_text(
        """
        [circuits."*"]
        timeout = 9
        min_calls = 9
        trials = 9
        window = 9.0
        observe = true

        [circuits."shop.price"]
        min_calls = 8
        trials = 8
        window = 8
        """
    )
    with runtime_with(
        path, RESILIENT_CIRCUIT_SHOP_PRICE_TRIALS="7", RESILIENT_CIRCUIT_SHOP_PRICE_WINDOW="7"
    ).active():
        price = circuit("shop.price", timeout=1)(lambda: 1)
        price.configure(window=6)
        other = circuit("other")(lambda: 1)
        own = f'{path} [circuits."shop.price"]'
        everywhere = f'{path} [circuits."*"]'
        assert row(price, "timeout") == ("1", "code")
        assert row(price, "observe") == ("on", everywhere)
        assert row(price, "min_calls") == ("8", own)
        assert row(price, "trials") == ("7", "RESILIENT_CIRCUIT_SHOP_PRICE_TRIALS")
        assert row(price, "window") == ("6", "run time")
        assert row(price, "slices") == ("10", "default")
        assert row(other, "timeout") == ("9", everywhere)
        policy = price.circuit.policy
        assert (policy.timeout, policy.min_calls, policy.trials, policy.window) == (1, 8, 7, 6)
        price.unconfigure()
        assert row(price, "window") == ("7", "RESILIENT_CIRCUIT_SHOP_PRICE_WINDOW")


def test_a_change_takes_effect_at_once_and_what_is_taken_out_is_as_before(path):
    path.write_text("[circuits.orders]\nmin_calls = 3\n")
    runtime = runtime_with(path)
    heard: list[Event] = []
    runtime.events.subscribe(heard.append, ConfigChanged, SettingsRead)
    with runtime.active():
        orders = circuit("orders", min_calls=50)(lambda: 1)
        assert row(orders, "min_calls")[0] == "3"
        write(path, '[circuits.orders]\nmin_calls = 4\ntimeout = "none"\n')
        look(runtime)
        assert row(orders, "min_calls")[0] == "4"
        assert orders.circuit.limit is None
        changed, read = heard
        assert isinstance(changed, ConfigChanged)
        assert changed.changes == (("min_calls", "3", "4"), ("timeout", "5", "none"))
        assert changed.by == str(path)
        assert isinstance(read, SettingsRead)
        assert (read.path, read.circuits, read.problem, read.severity) == (str(path), ("orders",), "", "info")
        look(runtime)
        assert len(heard) == 2  # nothing new
        write(path, "")
        look(runtime)
        assert row(orders, "min_calls") == ("50", "code")
        assert orders.circuit.limit == 5


def test_what_was_said_at_run_time_outlives_the_file(path):
    path.write_text("[circuits.orders]\nmin_calls = 3\n")
    runtime = runtime_with(path)
    with runtime.active():
        orders = circuit("orders")(lambda: 1)
        orders.circuit.tune(by="ada", min_calls=7)
        assert row(orders, "min_calls") == ("7", "operator")
        write(path, "[circuits.orders]\nmin_calls = 4\ntrials = 2\n")
        look(runtime)
        assert row(orders, "min_calls") == ("7", "operator")
        assert row(orders, "trials")[0] == "2"
        orders.circuit.untune("trials")
        assert row(orders, "min_calls") == ("7", "operator")
        orders.circuit.untune("min_calls")
        assert row(orders, "min_calls") == ("4", f"{path} [circuits.orders]")


BAD = [
    ("circuits.orders]", "not TOML"),
    ("[circuit.orders]", "'circuit': nobody reads this"),
    ("circuits = 1", "must be sections"),
    ("[circuits]\ntimeout = 1", r"\[circuits.timeout\] must be a section"),
    ("[circuits.shop.price]\ntimeout = 1", r'write a name with a dot in quotes: \[circuits."shop.price"\]'),
    ("[circuits.orders]\ntimout = 1", r"\[circuits.orders\] timout: no such setting; did you mean 'timeout'"),
    ("[circuits.orders]\nzzz = 1", "zzz: no such setting; known: error_rate"),
    ("[circuits.orders]\ntimeout = -1", "timeout must be .* got -1; write for instance timeout = 5"),
    ('[circuits.orders]\ntimeout = "soon"', "timeout: 'soon' is not a value for it; write for instance"),
    ("[circuits.orders]\nmin_calls = 2.5", "min_calls must be a whole number"),
    ("[circuits.orders]\nfail_max = 0", 'write for instance fail_max = "none"'),
    ("[circuits.orders]\nobserve = 7", "observe"),
    ("[circuits.orders]\ncount_rejections = 0", "count_rejections"),
    ('[circuits.orders]\nisolation = "thread"', "decided where the function is decorated"),
    ("[circuits.orders]\nfailed = 1", "failed: no such setting"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_bad_file_is_an_error_at_the_start_and_later_changes_nothing(path, text, words):
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as wrong:
        runtime_with(path)
    assert str(wrong.value).startswith(f"settings file {path}: ")
    path.write_text("[circuits.orders]\nmin_calls = 3\n")
    runtime = runtime_with(path)
    heard: list[SettingsRead] = []
    runtime.events.subscribe(heard.append, SettingsRead)
    with runtime.active():
        orders = circuit("orders")(lambda: 1)
        assert row(orders, "min_calls")[0] == "3"
        write(path, text)
        look(runtime)
        look(runtime)
        assert row(orders, "min_calls")[0] == "3"
        assert len(heard) == 1  # said once, not every second
        assert heard[0].severity == "warning"
        assert "what was read last stays in force" in heard[0].problem
        write(path, "[circuits.orders]\nmin_calls = 6\n")
        look(runtime)
        assert row(orders, "min_calls")[0] == "6"


@pytest.mark.parametrize(
    ("body", "words"), [(b"\xff\xfe", "UTF-8"), (b"#" * (sections.LARGEST + 1), "more than 1 MiB")]
)
def test_no_text_and_too_much_of_it(path, body, words):
    path.write_bytes(body)
    with pytest.raises(ConfigError, match=words):
        runtime_with(path)


def test_a_file_that_is_not_there(path):
    with pytest.raises(ConfigError, match=r"No such file.*set RESILIENT_SETTINGS"):
        runtime_with(path)
    path.write_text("[circuits.orders]\nmin_calls = 3\n")
    runtime = runtime_with(path)
    heard: list[SettingsRead] = []
    runtime.events.subscribe(heard.append, SettingsRead)
    with runtime.active():
        orders = circuit("orders")(lambda: 1)
        path.unlink()
        look(runtime)
        assert row(orders, "min_calls")[0] == "3"
        assert "No such file" in heard[0].problem
        path.write_text("[circuits.orders]\nmin_calls = 5\n")
        look(runtime)
        assert row(orders, "min_calls")[0] == "5"


def test_switches_numbers_and_words():
    assert parse('[circuits.a]\nobserve = "yes"\ncount_rejections = false\nmax_concurrent = "off"\n') == {
        "a": {"observe": True, "count_rejections": False, "max_concurrent": None}
    }
    assert parse("") == {}


def test_nobody_looks_without_a_circuit_and_a_change_is_seen_within_two_seconds(path, monkeypatch):
    monkeypatch.setattr(sections, "EVERY", 0.02)
    path.write_text("[circuits.orders]\nmin_calls = 3\n")
    runtime = runtime_with(path)
    file = runtime.circuits._settings
    assert file is not None
    assert file._watching is None
    with runtime.active():
        orders = circuit("orders")(lambda: 1)
        orders()
        watching = file._watching
        assert watching is not None
        write(path, "[circuits.orders]\nmin_calls = 4\n")
        until(lambda: row(orders, "min_calls")[0] == "4")
        runtime.circuits.close()
        assert watching.cancelled()
        file.after_fork()
        assert file._watching is None  # it was not watched
        file.watch()
        file.after_fork()
        assert file._watching is not None
        write(path, "[circuits.orders]\nmin_calls = 5\n")
        until(lambda: row(orders, "min_calls")[0] == "5")
    runtime.circuits.close()


def test_nobody_watches_for_a_runtime_that_is_gone(path, monkeypatch):
    monkeypatch.setattr(sections, "EVERY", 0.02)
    path.write_text("")
    told: list[object] = []
    file = SettingsFile(str(path), lambda *given: told.append(given), told.append, ManualClock())
    file.watch()
    watching = file._watching
    assert watching is not None
    del file
    assert watching.result(5) is None
    assert shared().running
    assert len(told) == 1


def test_a_relative_path_is_meant_from_here(path, monkeypatch):
    path.write_text("")
    monkeypatch.chdir(path.parent)
    file = SettingsFile(path.name, lambda *given: None, lambda event: None, ManualClock())
    os.chdir("/")
    assert file.path == str(path)
    write(path, "[circuits.a]\n")
    heard: list[Any] = []
    file._publish = heard.append
    file.look()
    assert heard[0].circuits == ("a",)


def until(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
