"""What stands on the screen, letter by letter."""

import io
import os
import unicodedata
from pathlib import Path

import pytest
from rich.console import Console

from resilient.cli import circuits, doctor, lists
from resilient.cli.checkup import Check
from resilient.cli.reach import Step
from resilient.cli.screen import LEVELS, STATUSES, Screen, ago, millis, safe

UP = {
    "id": "10.0.0.7:orders:8080",
    "url": "http://10.0.0.7:8080",
    "status": "UP",
    "zone": "a",
    "own_status": "UP",
    "overridden": None,
    "renewed_ago": 3.21,
    "late": False,
    "metadata": {"version": "2.4"},
}
OUT = {
    **UP,
    "id": "10.0.0.8:orders:8080",
    "url": "http://10.0.0.8:8080",
    "status": "OUT_OF_SERVICE",
    "overridden": "OUT_OF_SERVICE",
    "zone": "b",
    "renewed_ago": 95.0,
    "late": True,
    "metadata": {},
}
SERVICES = [
    {"name": "orders", "instances": [UP, OUT]},
    {"name": "prices", "instances": [{**UP, "status": "DOWN"}]},
]
CLOSED = {
    "service": "front",
    "name": "orders",
    "target": "orders",
    "state": "closed",
    "on": 3,
    "of": 3,
    "rate": 12.34,
    "error_rate": 0.0,
    "latency": {"p50": 0.0041, "p99": 0.0123},
    "in_flight": 2,
    "limit": 100,
    "last_error": "ancient",
    "retry_in": None,
    "processes": 3,
}
OPEN = {
    **CLOSED,
    "name": "shop.price",
    "target": "prices",
    "state": "open",
    "on": 1,
    "rate": 4.0,
    "error_rate": 0.617,
    "latency": {"p50": 0.2, "p99": 1.3},
    "in_flight": 0,
    "limit": None,
    "last_error": "ConnectError: \x1b[31mno",
    "retry_in": 3.2,
}
FORCED = {"service": "nightly", "name": "mail", "state": "forced-open", "on": 1, "of": 1, "processes": 0}
CIRCUITS = [CLOSED, OPEN, FORCED]


def screen(width: int = 110, *, encoding: str = "utf-8") -> tuple[Screen, io.TextIOWrapper]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    return Screen(Console(file=file, width=width, highlight=False, markup=False)), file


def shown(file: io.TextIOWrapper) -> list[str]:
    file.flush()
    return file.buffer.getvalue().decode(file.encoding).splitlines()


def same(file: io.TextIOWrapper, name: str) -> None:
    """As in ``shown/NAME.txt``; with ``SHOW=1`` that file is written anew, to be looked at."""
    kept = Path(__file__).parent / "shown" / f"{name}.txt"
    if os.environ.get("SHOW"):
        kept.write_text("\n".join([*shown(file), ""]))
    assert shown(file) == kept.read_text().splitlines()


def test_services() -> None:
    on, file = screen()
    lists.show_services(on, SERVICES, "http://127.0.0.1:8761/eureka/ (this machine)")
    same(file, "services")


def test_instances() -> None:
    on, file = screen(140)
    lists.show_instances(on, SERVICES[0])
    same(file, "instances")


def test_circuits() -> None:
    on, file = screen(140)
    on.show(*circuits.picture(on, CIRCUITS, "http://127.0.0.1:8761/eureka/ (--registry)"))
    same(file, "circuits")


def test_on_a_narrow_terminal_errors_stand_below() -> None:
    on, file = screen(80)
    on.show(*circuits.picture(on, CIRCUITS, "http://127.0.0.1:8761/eureka/ (--registry)"))
    same(file, "circuits-narrow")


def test_circuits_when_there_are_none() -> None:
    on, file = screen()
    on.show(*circuits.picture(on, [], "here", "7 s old: no answer"))
    assert shown(file) == [
        "No circuits yet: callers tell of theirs within seconds of their first call.",
        "here",
        "7 s old: no answer",
    ]


def test_doctor() -> None:
    on, file = screen(80)
    doctor.show(
        on,
        [("Installation", [Check("Python", "ok", "3.11"), Check("uvloop", "note", "absent")])],
        [{"name": "port", "value": "80", "source": "RESILIENT_PORT"}],
        [Step("--registry", "not given"), Step("mDNS", "found")],
        [Check("answer", "problem", "it does not", "start it")],
    )
    same(file, "doctor")


def test_without_utf8_it_is_plain_ascii() -> None:
    on, file = screen(encoding="ascii")
    lists.show_services(on, SERVICES, "here")
    assert shown(file)[1] == "orders         2   * up 1 of 2   o out of service 1 of 2   a, b"
    assert shown(file)[-1] == "2 services, 3 copies - here"


def test_no_colour_but_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(terminal: bool) -> str:
        file = io.StringIO()
        lists.show_services(
            Screen(
                Console(
                    file=file,
                    width=90,
                    force_terminal=terminal,
                    color_system="standard" if terminal else None,
                )
            ),
            SERVICES,
            "here",
        )
        return file.getvalue()

    assert "\x1b" not in look(False)
    assert "\x1b[32m" in look(True)  # green
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in look(True)


def test_lines_are_not_broken_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = {**SERVICES[0], "instances": [{**UP, "id": "x" * 300}]}
    lists.show_instances(Screen(), long)
    assert "x" * 300 in capsys.readouterr().out


HOSTILE = [
    "\x1b[2J\x1b[H", "\x1b]0;title\x07", "a\r\nb", "\x9b31m", "tab\t", "nul\0", "\u202egnp.exe",
    "\u2066x\u2069", "zero\u200bwidth", "line\u2028sep", "\ud800", "\U000e0001", "\x7f",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_foreign_moves_the_cursor(text: str) -> None:
    clean = safe(text)
    assert all(unicodedata.category(letter)[0] != "C" for letter in clean)
    assert not set(clean) & set("\u2028\u2029\n\r")
    on, file = screen(300)
    hostile = {
        **UP,
        "id": text,
        "zone": text,
        "status": text,
        "url": text,
        "metadata": {text: text},
    }
    lists.show_services(on, [{"name": text, "instances": [hostile, hostile]}], text, text)
    lists.show_instances(on, {"name": text, "instances": [hostile]})
    on.show(*circuits.picture(on, [{**OPEN, "service": text, "name": text, "state": text,
                                    "target": text, "last_error": text}], text, text))  # fmt: skip
    said = "".join(shown(file))
    assert all(unicodedata.category(letter)[0] != "C" for letter in said), said


def test_ordinary_foreign_letters_stay() -> None:
    assert safe("Grüße 注文 ✓…") == "Grüße 注文 ✓…"
    assert safe("[red]x[/red]") == "[red]x[/red]"
    assert safe("y" * 600) == "y" * 512 + "…"


def test_every_state_differs_without_colour() -> None:
    assert len({look[0] for look in STATUSES.values()}) == len({look[1] for look in STATUSES.values()}) == 5
    assert len({look[0] for look in LEVELS.values()}) == 3


def test_durations() -> None:
    assert [ago(one) for one in (0, 3.21, 9.97, 100, 150, 7200, 200_000)] == [
        "0.0 s", "3.2 s", "10 s", "100 s", "2 min", "2 h", "2 d",
    ]  # fmt: skip
    assert [millis(one) for one in (None, 0.0008, 0.0123, 0.9996, 1.3)] == [
        "", "0.8 ms", "12 ms", "1000 ms", "1.30 s",
    ]  # fmt: skip
