"""From a process's circuits over the short form of a push to the board's sums and history."""

from __future__ import annotations

import random
from itertools import pairwise

import orjson
import pytest

from registry_server.board import Board, Unknown
from registry_server.board_push import parse
from resilient.circuits.book import CircuitBook
from resilient.circuits.guard import Guard
from resilient.circuits.latency import Histogram
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import ManualClock
from resilient.discovery import pushing
from resilient.discovery.pushing import Pusher
from resilient.errors import WireError


class Caller:
    """One process with circuits, on the board's clock."""

    def __init__(self, clock, board, name, circuits=("pay",), **policy):
        self.book = CircuitBook(clock=clock)
        options = CircuitPolicy(**{"min_calls": 5, "timeout": None, **policy})
        self.circuits = {
            one: self.book.of(Guard(one, options, lambda guard: (self.book.of(guard), True)))
            for one in circuits
        }
        self.pusher = Pusher(self.book, clock)
        self.board, self.name = board, name

    def call(self, n, seconds=0.01, fail=0, name="pay"):
        circuit = self.circuits[name]
        for number in range(n):
            attempt = circuit.admit(lambda: None)
            attempt.began = circuit.now() - seconds
            if number >= n - fail:
                circuit.failed(attempt, ValueError("no"))
            else:
                circuit.ended(attempt, 1)

    def push(self, interval=1.0):
        message = self.pusher.push("shop", self.name, "w", interval)
        return self.board.put(parse(orjson.dumps(message))), message


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def board(clock):
    return Board(clock)


def only(board):
    (row,) = board.rows()
    return row


def test_the_boards_sums_are_those_of_the_circuits(clock, board):
    one, two = Caller(clock, board, "a"), Caller(clock, board, "b")
    one.call(20, fail=2)
    two.call(30, fail=3)
    one.push()
    two.push()
    row = only(board)
    assert (row["counts"]["success"], row["counts"]["failure"]) == (45, 5)
    assert row["error_rate"] == pytest.approx(0.1)
    assert row["rate"] == pytest.approx(5.0)
    assert (row["on"], row["of"], row["calls"]) == (2, 2, 50)
    assert row["min_calls"] == 5
    assert row["last_error"] == "ValueError: no"


def test_percentiles_are_those_of_all_calls_and_no_mean_of_means(clock, board):
    rng = random.Random(4)
    one, two = Caller(clock, board, "a"), Caller(clock, board, "b")
    every = []
    for caller, n, base in ((one, 900, 0.01), (two, 100, 0.5)):
        samples = [base * rng.lognormvariate(0, 0.2) for _ in range(n)]
        every += samples
        for period in range(0, n, n // 4):
            caller.circuits["pay"].latencies.add(samples[period : period + n // 4], clock.monotonic())
    for caller in (one, two):
        caller.push()
    whole = Histogram()
    whole.add(every)
    row = only(board)
    assert row["merged"] is True
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p995", 0.995)):
        assert row["latency"][name] == whole.quantiles([share])[0], name
    assert row["latency"]["mean"] == pytest.approx(sum(every) / len(every), rel=1e-4)


def test_latencies_of_a_minute_come_in_pieces_and_leave_again(clock, board):
    caller = Caller(clock, board, "a")
    told = []
    for step in range(7):
        caller.call(10, seconds=0.01 * (step + 1))
        _, message = caller.push()
        told.append(sum(len(row[8]) for row in message["rows"]))
        clock.advance(9)
        caller.push(interval=15)
    # Once told, a period that has ended is not told again, but the one under way is.
    assert max(told) <= 2
    row = only(board)
    here = caller.circuits["pay"].snapshot()
    assert row["latency"]["p50"] == pytest.approx(here.latency.quantiles([0.5])[0], rel=0.35)
    assert row["latency"]["p99"] == here.latency.quantiles([0.99])[0]


def test_what_did_not_change_is_left_out(clock, board):
    caller = Caller(clock, board, "a", circuits=[f"c{n}" for n in range(30)])
    _, first = caller.push()
    assert (len(first["rows"]), first["full"]) == (30, True)
    assert len(first["about"]) == 30
    _, second = caller.push()
    assert (second["rows"], second["full"]) == ([], False)
    assert "about" not in second
    assert len(first["settings"]) + len(second["settings"]) == 30
    caller.call(3, name="c7")
    _, third = caller.push()
    assert [row[0] for row in third["rows"]] == ["c7"]
    assert "settings" not in third
    caller.circuits["c9"].configure(timeout=3)
    _, fourth = caller.push()
    assert list(fourth["settings"]) == ["c9"]
    assert fourth["about"]["c9"]["timeout"] == 3
    found = {one["name"]: one for one in board.detail("shop", "c9")["settings"]}
    assert found["timeout"] == {"name": "timeout", "value": "3", "source": "run time"}
    clock.advance(pushing.FULL)
    assert len(caller.push()[1]["rows"]) == 30


def test_many_circuits_come_in_several_messages_and_all_have_their_turn(clock, board):
    names = [f"c{n}" for n in range(600)]
    caller = Caller(clock, board, "a", circuits=names)
    messages = [caller.push()[1] for _ in range(3)]
    assert [len(one["rows"]) for one in messages] == [250, 250, 100]
    assert [bool(one.get("more")) for one in messages] == [True, True, False]
    assert len(list(board.rows())) == 600
    told = set()
    for _ in range(3):
        for name in names:
            caller.call(1, name=name)
        told |= {row[0] for row in caller.push()[1]["rows"]}
    assert told == set(names)


def test_who_is_not_known_must_tell_everything(clock, board):
    caller = Caller(clock, board, "a")
    caller.call(3)
    caller.push()
    board.forget("shop", "a")
    with pytest.raises(Unknown):
        caller.push()
    caller.pusher.forget()
    caller.push()
    assert only(board)["counts"]["success"] == 3


def test_a_turn_is_told_with_the_rule_that_fired(clock, board):
    turns = []
    board.listen(turns.append)
    caller = Caller(clock, board, "a", error_rate=0.5)
    caller.call(4)
    caller.push()
    assert turns == []
    caller.call(4, fail=4)
    caller.push()
    (turn,) = turns
    assert (turn["before"], turn["state"], turn["name"]) == ("closed", "open", "pay")
    assert turn["why"]["rule"] == "error_rate"
    assert turn["why"]["value"] >= turn["why"]["limit"] == 50.0
    caller.circuits["pay"].open(60, reason="drill", by="Ann")
    caller.push()
    assert (turns[-1]["state"], turns[-1]["by"], turns[-1]["reason"]) == ("forced-open", "Ann", "drill")
    assert board.detail("shop", "pay")["turns"][0]["to"] == "forced-open"


def test_of_many_hosts_the_worst_speaks_and_the_silent_are_named(clock, board):
    callers = [Caller(clock, board, f"h{n}") for n in range(5)]
    for caller in callers:
        caller.call(10)
        caller.push()
    callers[0].circuits["pay"].open()
    callers[0].push()
    row = only(board)
    assert (row["state"], row["on"], row["of"]) == ("open", 1, 5)
    clock.advance(4)
    for caller in callers[1:]:
        caller.push()
    clock.advance(1.1)
    row = only(board)
    assert row["silent"] == ["h0#w"]
    assert (row["state"], row["on"], row["of"], row["processes"]) == ("closed", 4, 4, 4)
    assert row["counts"]["success"] == 40
    callers[0].push()
    assert only(board)["state"] == "open"
    assert only(board)["counts"]["success"] == 50


def test_history_has_a_point_for_each_second_and_is_bounded(clock, board):
    caller = Caller(clock, board, "a")
    for second in range(1000):
        if second % 5 == 0:
            caller.call(10, fail=1)
            caller.push(interval=5)
        clock.advance(1)
    found = board.history("shop", "pay", 900)
    assert {len(found[name]) for name in ("rate", "fail", "refused", "timeout")} == {900}
    assert {len(found[name]) for name in ("p50", "p90", "p99", "states")} == {180}
    assert found["rate"][-20:] == [pytest.approx(2.0, abs=0.3)] * 20
    assert found["states"][-1] == [1, 0, 0, 0]
    assert found["p50"][-1] == pytest.approx(0.01, rel=0.02)
    assert board.size() < 21_000


def test_only_so_many_circuits_have_a_history(clock):
    board = Board(clock, histories=3)
    caller = Caller(clock, board, "a", circuits=list("abcde"))
    caller.push()
    assert sum(board.history("shop", name, 10) is not None for name in "abcde") == 3
    board.forget("shop", "a")
    assert board.size() == 0
    other = Caller(clock, board, "b", circuits=list("xyz"))
    other.push()
    assert board.history("shop", "z", 10) is not None


ROW = ["pay", "C", 1.0, None, [0] * 16, [0, 0, 0], 0, 0, [], "", 0]


def broken(place, value):
    row = list(ROW)
    row[place] = value
    return row


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "pay",
        [],
        ROW[:6],
        {"name": "pay"},
        broken(0, ""),
        broken(0, 5),
        broken(0, "x" * 300),
        broken(1, "X"),
        broken(1, []),
        broken(2, -1),
        broken(2, True),
        broken(2, 1e300),
        broken(3, "soon"),
        broken(4, [0] * 15),
        broken(4, [0] * 15 + [-1]),
        broken(4, [0] * 15 + [1.5]),
        broken(4, [0] * 15 + [10**18]),
        broken(5, "abc"),
        broken(6, None),
        broken(8, 5),
        broken(8, [5]),
        broken(8, [["x", 0, [1], 1, 1]]),
        broken(10, [1]),
        broken(10, ["explode", None, "", "", ""]),
        broken(10, ["open", None, 5, "", ""]),
    ],
)
def test_rows_that_make_no_sense_change_nothing(clock, board, row):
    body = {"v": 2, "service": "shop", "instance": "a", "worker": "w", "interval": 1.0, "full": True}
    board.put({**body, "rows": [ROW]})
    version = board.version
    with pytest.raises(WireError, match=r"rows\[1\]"):
        board.put({**body, "rows": [broken(4, [9] * 16), row]})
    assert board.version == version
    assert only(board)["counts"]["success"] == 0


@pytest.mark.parametrize(
    "period",
    [
        [1],
        [1, 0, "x", 1, 1],
        [1, -5, [1], 1, 1],
        [1, 0, [1, -1], 1, 1],
        [1, 0, [1], "x", 1],
        [1, 9e9, [1], 1, 1],
    ],
)
def test_latencies_that_make_no_sense_count_nothing(clock, board, period):
    body = {"v": 2, "service": "shop", "instance": "a", "worker": "w", "interval": 1.0, "full": True}
    board.put({**body, "rows": [broken(8, [period])]})
    assert only(board)["latency"] == {}


def test_what_balancers_think_is_kept_by_target(clock, board):
    body = {"v": 2, "service": "shop", "instance": "a", "worker": "w", "interval": 1.0, "full": True}
    rows = [
        {"id": "i1", "state": "ejected", "until": 5.0, "share": 0.5, "evil": {"x": 1}, "in_flight": "many"}
    ]
    board.put({**body, "rows": [ROW], "balancer": {"services": {"Bank": {"instances": [*rows, 7]}, "x": 5}}})
    (row,) = board.balanced("shop", "bank")
    assert (row["id"], row["state"], row["until"], row["process"]) == ("i1", "ejected", 5.0, "a#w")
    assert "evil" not in row
    assert row["in_flight"] is None
    assert board.balanced("other", "bank") == []


def test_a_large_push_is_taken_in_slices_and_the_sums_hold_in_between(clock, board):
    rows = [{"name": f"c{n}", "counts": {"success": 3}, "rate": 1.0} for n in range(500)]
    push = {"service": "shop", "instance": "a", "circuits": rows}
    steps = board.putting(push)
    seen = [len(list(board.rows())) for _ in steps]
    assert len(seen) > 10  # some to read it, some to take it
    assert seen == sorted(seen)
    assert len(list(board.rows())) == 500
    assert all(later - earlier <= 64 for earlier, later in pairwise(seen))
    # Who signs out in the middle of it is gone, and nothing of it stays.
    steps = board.putting(push)
    for _ in range(10):
        next(steps)
    board.forget("shop", "a")
    list(steps)
    assert (list(board.rows()), board._snapshots, board._recorded) == ([], 0, 0)


def test_dear_history_is_written_once_a_second_and_not_by_a_push(clock, board):
    callers = [Caller(clock, board, name) for name in "ab"]
    for caller in callers:
        caller.call(10)
        caller.push()
    clock.advance(5)
    board.tick()
    for caller in callers:
        caller.call(10)
        caller.push()
    found = board.history("shop", "pay", 60)
    assert found["p50"][-1] > 0
    assert found["states"][-1] == [2, 0, 0, 0]
    clock.advance(5)
    steps = list(board.ticking())
    assert len(steps) == 1  # one circuit with something to write
    assert list(board.ticking()) == []


def test_what_processes_say_alike_is_kept_once(clock, board):
    for name in "ab":
        Caller(clock, board, name).push()
    one, other = (process.circuits["pay"] for process in board._processes.values())
    assert one.about is other.about
    assert one.settings is other.settings
    assert len(one.settings) > 5
