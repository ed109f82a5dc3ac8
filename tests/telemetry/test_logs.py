"""Events as log lines: stable names, safe text, and nothing configured behind anybody's back."""

import io
import json
import logging

import pytest
import structlog
from structlog.testing import capture_logs

from resilient.events import CallEnded, CircuitChanged, EventBus, InstanceEjected
from resilient.telemetry.logs import LONGEST, EventLog, configure, event_name, safe

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
