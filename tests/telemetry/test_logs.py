"""Events as log lines: stable names, safe text, and nothing configured behind anybody's back."""

import dataclasses
import io
import json
import logging

import pytest
import structlog
from structlog.testing import capture_logs

from resilient.circuits import calls
from resilient.circuits.attempt import CURRENT, watch
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.policy import CircuitPolicy
from resilient.events import (
    LOGGED,
    CallEnded,
    CircuitChanged,
    ConfigChanged,
    EventBus,
    InstanceEjected,
    LeaseChanged,
    RegistryChanged,
)
from resilient.telemetry.logs import LONGEST, EventLog, add_context, configure, event_name, safe, write

TURNED = CircuitChanged(at=1.0, circuit="orders", old="closed", new="open", reason="status 503")


@pytest.fixture(autouse=True)
def as_it_was():
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_unconfigured_it_speaks_through_logging_and_not_to_standard_output(caplog, capsys) -> None:
    bus = EventBus()
    EventLog(bus, service="shop")
    bus.publish(TURNED)
    assert caplog.records[0].levelname == "WARNING"
    assert caplog.records[0].getMessage() == (
        "event='circuit_changed' service='shop' circuit='orders' old='closed' new='open' reason='status 503'"
    )
    assert capsys.readouterr().out == ""
    assert not structlog.is_configured()


def test_a_programs_own_structlog_gets_the_fields() -> None:
    structlog.configure()
    bus = EventBus()
    EventLog(bus)
    with capture_logs() as lines:
        bus.publish(InstanceEjected(service="orders", instance="a:1", seconds=5.0, reason="5 in a row"))
    assert lines == [
        {
            "event": "instance_ejected",
            "log_level": "warning",
            "service": "orders",
            "instance": "a:1",
            "seconds": 5.0,
            "reason": "5 in a row",
        }
    ]


def test_single_calls_are_never_asked_for_since_that_would_close_the_short_way() -> None:
    bus = EventBus()
    EventLog(bus)
    assert not bus.wants(CallEnded)


def test_leaving_ends_it(caplog) -> None:
    bus = EventBus()
    EventLog(bus).leave()
    bus.publish(TURNED)
    assert caplog.records == []


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31mred", "\u202egnp", "\x00", "\u2028", "\x9b1m"])
def test_S32_text_from_outside_stays_on_its_line(hostile: str) -> None:
    shown = safe(hostile)
    assert isinstance(shown, str)
    assert shown.isprintable()
    assert len(safe("x" * 10_000)) == LONGEST


def test_programs_log_json_where_nobody_reads_along() -> None:
    out = io.StringIO()
    configure(stream=out)
    bus = EventBus()
    EventLog(bus)
    bus.publish(CircuitChanged(circuit="or\nders", old="closed", new="open"))
    logging.getLogger("resilient.registry").warning("plain %s", "line")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["event"] == "circuit_changed"
    assert first["circuit"] == "or\\nders"
    assert first["level"] == "warning"
    assert second["event"] == "plain line"
    assert second["logger"] == "resilient.registry"


def test_names_are_stable() -> None:
    assert event_name(TURNED) == "circuit_changed"


def lines_of(out: io.StringIO):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_registered_process_tells_of_its_own_lease_too() -> None:
    out = io.StringIO()
    configure(stream=out)
    me = {"service": "shop", "instance": "shop-1"}
    write(LeaseChanged(service="shop", instance="shop-1", what="registered"), me)
    write(InstanceEjected(service="orders", instance="o:1", seconds=5.0, reason="x"), me)
    leased, ejected = lines_of(out)
    assert (leased["event"], leased["service"], leased["what"]) == ("lease_changed", "shop", "registered")
    assert (ejected["service"], ejected["instance"]) == ("orders", "o:1")


def names_of(kind):
    return [field.name for field in dataclasses.fields(kind) if field.name != "at"]


@pytest.mark.parametrize("kind", LOGGED)
def test_each_event_worth_a_line_can_be_written_whatever_is_bound(kind) -> None:
    out = io.StringIO()
    configure(stream=out, level="DEBUG")
    told = {"circuits": ("a",), "services": ("a",), "changes": (("timeout", "1", "2"),)}
    fields = {name: told.get(name, "a") for name in names_of(kind)}
    write(kind(**fields), dict.fromkeys([*fields, "service", "instance"], "mine"))
    (line,) = lines_of(out)
    assert line["event"] == event_name(kind(**fields))
    assert line["level"] in ("debug", "info", "warning")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("http://user:hunter2@host/eureka", "http://******@host/eureka"),
        ("lost http://hunter2@a and http://b", "lost http://******@a and http://b"),
        ("Authorization: Bearer hunter2, next", "Authorization: Bearer ******, next"),
        ("?api_key=hunter2&x=1", "?api_key=******&x=1"),
        ("{'password': 'hunter2'}", "{'password': '******'}"),
    ],
)
def test_no_secret_reaches_a_line(said, shown) -> None:
    assert safe(said) == shown
    assert "hunter2" not in str(safe("x" * 9000 + "http://u:hunter2@" + "y" * 9000))
    out = io.StringIO()
    configure(stream=out)
    write(RegistryChanged(url=said, what="lost", detail=said), {"token": "hunter2"})
    write(ConfigChanged(circuit="a", changes=(("x", said, "2"),)))
    logging.getLogger("any").warning("%s", said)
    try:
        raise OSError(said)
    except OSError:
        logging.getLogger("any").exception("it failed")
    assert "hunter2" not in out.getvalue()
    assert len(lines_of(out)) == 4


def test_lists_stay_short_and_safe() -> None:
    shown = safe(("a\nb", *["x"] * 100))
    assert isinstance(shown, tuple)
    assert (len(shown), shown[0]) == (50, "a\\nb")
    assert safe({"tokens": 5, "cookie": ""}) == {"tokens": 5, "cookie": ""}
    assert safe({"my_token": "x", "a": ["\x1b"]}) == {"my_token": "******", "a": ["\\x1b"]}


def test_lines_know_the_circuit_they_are_written_in_and_do_not_slow_it_down() -> None:
    out = io.StringIO()
    configure(stream=out, service="shop")
    watch()
    book = CircuitBook()
    seen = []

    def work() -> None:
        logging.getLogger("mine").warning("inside")
        seen.append(CURRENT.get()[0].odd)

    guard = Guard("orders", CircuitPolicy(), lambda one: (book.of(one), True))
    call = calls.sync(guard, work)
    call()
    call()
    logging.getLogger("mine").warning("outside")
    inside, _, outside = lines_of(out)
    assert (inside["circuit"], inside["service"]) == ("orders", "shop")
    assert "circuit" not in outside
    assert seen == [False, False]


def test_what_is_true_here_is_on_every_line_until_it_ends() -> None:
    out = io.StringIO()
    configure(stream=out)
    end = add_context(lambda: {"trace_id": "ab"})
    write(TURNED)
    logging.getLogger("mine").warning("plain")
    end()
    end()
    write(TURNED)
    first, plain, last = lines_of(out)
    assert first["trace_id"] == plain["trace_id"] == "ab"
    assert "trace_id" not in last


def test_on_a_terminal_it_is_for_eyes() -> None:
    out = io.StringIO()
    out.isatty = lambda: True
    configure(stream=out)
    write(TURNED)
    assert "circuit_changed" in out.getvalue()
    assert not out.getvalue().startswith("{")
