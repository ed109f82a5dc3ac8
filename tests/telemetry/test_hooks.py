"""Events for sinks of one's own: bounded, isolated, from any thread."""

import logging
import os
import re
import threading
from pathlib import Path

import pytest

from resilient import circuit
from resilient.errors import ConfigError
from resilient.events import CircuitChanged, Event, EventBus, LeaseChanged
from resilient.runtime import Runtime
from resilient.telemetry.hooks import MOST, Subscription, subscribe


def turned(name="orders"):
    return CircuitChanged(circuit=name, old="closed", new="open")


@pytest.fixture
def bus():
    return EventBus()


@pytest.fixture
def hook(bus):
    made = []

    def hook(kinds, callback, **options) -> Subscription:
        made.append(subscribe(kinds, callback, **{"events": bus, **options}))
        return made[-1]

    yield hook
    for one in made:
        one.leave()


def test_a_function_hears_of_its_kinds_in_order_on_a_thread_of_its_own(bus, hook) -> None:
    heard = []
    one = hook(CircuitChanged, lambda event: heard.append((event.circuit, threading.current_thread().name)))
    both = hook([CircuitChanged, LeaseChanged], lambda event: None)
    bus.publish(LeaseChanged(service="a", instance="b", what="registered"))
    for n in range(20):
        bus.publish(turned(str(n)))
    assert one.flush()
    assert both.flush()
    assert heard == [(str(n), "resilient-hook") for n in range(20)]


def test_whoever_is_too_slow_loses_the_oldest_and_holds_up_nobody(bus, hook) -> None:
    go, heard = threading.Event(), []

    def slow(event) -> None:
        go.wait(10)
        heard.append(event.circuit)

    one = hook(CircuitChanged, slow, waiting=3)
    bus.publish(turned("first"))
    while one._queue:
        threading.Event().wait(0.001)
    for n in range(10):
        bus.publish(turned(str(n)))
    assert one.dropped == 7
    assert not one.flush(0.01)
    go.set()
    assert one.flush()
    assert heard == ["first", "7", "8", "9"]


@pytest.mark.parametrize("at_once", [False, True])
def test_its_errors_are_its_own_and_told_once_for_each_kind(bus, hook, caplog, at_once) -> None:
    heard = []

    def broken(event) -> None:
        heard.append(event)
        raise KeyError("x") if len(heard) == 3 else ValueError("sink is down")

    one = hook(CircuitChanged, broken, at_once=at_once)
    with caplog.at_level(logging.ERROR, logger="resilient.hooks"):
        for _ in range(10):
            bus.publish(turned())
        assert one.flush()
    assert (len(heard), one.failed) == (10, 10)
    assert [record.exc_info[0] for record in caplog.records] == [ValueError, KeyError]


def test_at_once_means_where_it_happens_and_never_within_itself(bus, hook) -> None:
    heard = []

    def again(event) -> None:
        heard.append(threading.current_thread())
        bus.publish(turned())

    one = hook(CircuitChanged, again, at_once=True)
    bus.publish(turned())
    assert heard == [threading.current_thread()]
    assert one.dropped == 1


def test_leaving_ends_it_even_with_events_waiting(bus, hook) -> None:
    go, heard = threading.Event(), []
    one = hook(CircuitChanged, lambda event: (go.wait(10), heard.append(event)))
    for _ in range(5):
        bus.publish(turned())
    one()
    one.leave()
    go.set()
    bus.publish(turned())
    assert one.flush()
    assert len(heard) <= 1
    assert not bus.wants(CircuitChanged)


def test_from_any_thread(bus, hook) -> None:
    heard = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        hook(CircuitChanged, heard.append)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bus._handlers) == 8


def test_without_a_bus_it_hears_of_every_runtime_also_of_those_to_come(hook) -> None:
    heard = []
    before = Runtime(instances={})
    one = hook(CircuitChanged, lambda event: heard.append(event.circuit), events=None)
    for name, runtime in (("before", before), ("after", Runtime(instances={}))):
        with runtime.active():
            circuit(name).open()
    assert one.flush()
    assert heard == ["before", "after"]
    one.leave()
    with Runtime(instances={}).active():
        circuit("left").open()
    assert one.flush()
    assert heard == ["before", "after"]


@pytest.mark.parametrize(
    ("kinds", "callback", "options", "says"),
    [
        (int, print, {}, "kinds of events"),
        ("CircuitChanged", print, {}, "kinds of events"),
        ((), print, {}, "at least one kind"),
        (Event, "print", {}, "a function"),
        (Event, print, {"waiting": 0}, "at least 1"),
    ],
)
def test_nonsense_is_refused_where_it_is_written(bus, kinds, callback, options, says) -> None:
    with pytest.raises(ConfigError, match=says):
        subscribe(kinds, callback, events=bus, **options)
    assert not bus.wants(CircuitChanged)


def test_there_is_an_end_to_how_many(hook) -> None:
    with pytest.raises(ConfigError, match="100 functions"):
        for _ in range(MOST + 1):
            hook(CircuitChanged, print)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_has_a_thread_of_its_own(bus, hook) -> None:
    heard = []
    one = hook(CircuitChanged, heard.append)
    bus.publish(turned())
    assert one.flush()
    child = os.fork()
    if not child:
        heard.clear()
        bus.publish(turned())
        os._exit(0 if one.flush() and len(heard) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_example_of_the_docs_runs(capsys) -> None:
    text = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
    (example,) = re.findall(r"<!-- runs: hooks -->\n```python\n(.*?)```", text, re.DOTALL)
    with Runtime(instances={}).active():
        exec(compile(example, "docs/telemetry.md", "exec"), {"__name__": "example"})
    assert "orders: closed -> open" in capsys.readouterr().out
