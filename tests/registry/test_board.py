from __future__ import annotations

import math
import random

import pytest

from registry_server import board as board_module
from registry_server.board import FORGET_AFTER, POINTS, STEP, Board
from resilient.circuits.latency import Histogram
from resilient.clock import ManualClock
from resilient.errors import WireError


def snapshot(name="orders.order", **members):
    return {"name": name, "target": "orders", "state": "closed", "window": 10.0, **members}


def push(instance="shop-1", *circuits, service="shop", worker="1", interval=5.0):
    return {
        "service": service,
        "instance": instance,
        "worker": worker,
        "interval": interval,
        "circuits": list(circuits or (snapshot(),)),
    }


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def board(clock):
    return Board(clock)


def only(board):
    (row,) = board.view()
    return row


def test_sums_over_processes(board):
    counts = {"success": 70, "failure": 10, "timeout": 4, "rejected": 1, "short_circuited": 15, "excluded": 3}
    board.put(push("a", snapshot(counts=counts, calls=100, rate=10.0, in_flight=2, limit=20)))
    board.put(push("b", snapshot(counts={"success": 15}, calls=15, rate=1.5, in_flight=1, limit=30)))
    row = only(board)
    assert (row["service"], row["name"], row["target"]) == ("shop", "orders.order", "orders")
    assert row["counts"]["success"] == 85
    assert row["counts"]["fallback_failure"] == 0
    assert row["attempts"] == 100
    assert row["error_rate"] == pytest.approx(0.15)
    assert (row["calls"], row["rate"], row["in_flight"], row["limit"]) == (115, 11.5, 3, 50)
    assert (row["on"], row["of"], row["processes"], row["silent"]) == (2, 2, 2, [])


def test_nothing_attempted_has_no_error_rate(board):
    board.put(push("a", snapshot(counts={"short_circuited": 9})))
    assert only(board)["error_rate"] is None


def test_an_unlimited_process_makes_the_sum_unlimited(board):
    board.put(push("a", snapshot(limit=10)))
    board.put(push("b", snapshot(limit=None)))
    assert only(board)["limit"] is None


@pytest.mark.parametrize(
    ("states", "shown", "on"),
    [
        (["closed", "open", "closed"], "open", 1),
        (["half-open", "closed", "half-open"], "half-open", 2),
        (["open", "half-open", "open"], "open", 2),
        (["open", "forced-open", "open"], "forced-open", 1),
        (["forced-closed", "open"], "forced-closed", 1),
    ],
)
def test_the_state_that_matters_most_is_shown(board, states, shown, on):
    for number, state in enumerate(states):
        board.put(push(f"i{number}", snapshot(state=state)))
    row = only(board)
    assert (row["state"], row["on"], row["of"]) == (shown, on, len(states))
    assert sum(row["states"].values()) == len(states)


def test_callers_and_names_are_kept_apart(board):
    board.put(push("a", snapshot("one"), snapshot("two")))
    board.put(push("b", snapshot("one"), service="CART"))
    assert [(row["service"], row["name"]) for row in board.view()] == [
        ("cart", "one"),
        ("shop", "one"),
        ("shop", "two"),
    ]


def test_workers_of_one_instance_are_processes_of_their_own(board):
    board.put(push("a", snapshot(rate=1), worker="1"))
    board.put(push("a", snapshot(rate=2), worker="2"))
    assert only(board)["rate"] == 3
    assert len(board) == 2


def test_durations_go_on_between_pushes(board, clock):
    board.put(push("a", snapshot(state="open", since=10.0, retry_in=3.0)))
    clock.advance(2)
    row = only(board)
    assert row["since"] == pytest.approx(12.0)
    assert row["retry_in"] == pytest.approx(1.0)
    clock.advance(2)
    assert only(board)["retry_in"] == 0


def test_a_silent_process_leaves_the_sums_and_is_named_then_forgotten(board, clock):
    board.put(push("quiet", snapshot(rate=5, counts={"success": 5}), interval=1.0))
    clock.advance(5.0)
    board.put(push("loud", snapshot(rate=2, counts={"success": 2}), interval=1.0))
    assert only(board)["silent"] == []
    clock.advance(0.5)
    row = only(board)
    assert row["silent"] == ["quiet#1"]
    assert (row["rate"], row["counts"]["success"], row["processes"], row["of"]) == (2, 2, 1, 1)
    clock.advance(FORGET_AFTER - 5.5)
    assert only(board)["silent"] == ["loud#1", "quiet#1"]
    clock.advance(0.1)
    assert only(board)["silent"] == ["loud#1"]
    assert len(board) == 1


def test_the_last_word_of_the_last_process_is_still_shown(board, clock):
    board.put(push("a", snapshot(state="open", rate=5), interval=1))
    clock.advance(10)
    row = only(board)
    assert (row["state"], row["processes"], row["rate"], row["error_rate"]) == ("open", 0, 0, None)
    clock.advance(FORGET_AFTER)
    assert board.view() == []


def test_a_process_that_comes_back_counts_again(board, clock):
    board.put(push("a", snapshot(rate=5), interval=1))
    clock.advance(20)
    board.put(push("a", snapshot(rate=6), interval=1))
    row = only(board)
    assert (row["rate"], row["silent"]) == (6, [])


def test_a_push_replaces_what_was_said_before(board):
    board.put(push("a", snapshot("one"), snapshot("two")))
    board.put(push("b", snapshot("two")))
    board.put(push("a", snapshot("three")))
    assert [(row["name"], row["of"]) for row in board.view()] == [("three", 1), ("two", 1)]


def test_signing_out_forgets_all_workers(board):
    board.put(push("a", worker="1"))
    board.put(push("a", worker="2"))
    board.put(push("b", worker="1"))
    board.forget("shop", "a", "2")
    assert only(board)["of"] == 2
    board.forget("shop", "a")
    assert only(board)["of"] == 1
    board.forget("shop", "b")
    assert board.view() == []


def test_quantiles_come_from_merged_histograms(board):
    rng = random.Random(5)
    fast = [rng.uniform(0.009, 0.011) for _ in range(900)]
    slow = [rng.uniform(0.45, 0.55) for _ in range(100)]
    for instance, samples in (("a", fast), ("b", slow)):
        histogram = Histogram()
        histogram.add(samples)
        p50, p99 = histogram.quantiles((0.5, 0.99))
        latency = {
            "mean": histogram.mean,
            "p50": p50,
            "p90": p99,
            "p95": p99,
            "p99": p99,
            "max": max(samples),
        }
        board.put(push(instance, snapshot(latency=latency, calls=len(samples), histogram=histogram.packed())))
    row = only(board)
    every = sorted(fast + slow)
    assert row["merged"] is True
    for name, place in (("p50", 500), ("p95", 950), ("p99", 990)):
        assert row["latency"][name] == pytest.approx(every[place - 1], rel=0.02), name
    assert row["latency"]["mean"] == pytest.approx(sum(every) / 1000)
    assert row["latency"]["max"] == max(slow)


def test_without_histograms_the_worst_process_speaks(board):
    board.put(push("a", snapshot(latency={"p50": 0.1, "p99": 0.2, "mean": 0.1}, calls=30)))
    board.put(push("b", snapshot(latency={"p50": 0.3, "p99": 0.4, "mean": 0.3}, calls=10)))
    row = only(board)
    assert row["merged"] is False
    assert (row["latency"]["p50"], row["latency"]["p99"]) == (0.3, 0.4)
    assert row["latency"]["mean"] == pytest.approx(0.15)


def test_history_holds_the_last_word_and_shows_gaps(board, clock):
    board.put(push("a", snapshot(rate=4, counts={"failure": 10, "short_circuited": 20}), interval=2))
    clock.advance(STEP)
    board.put(push("a", snapshot(rate=6), interval=2))
    clock.advance(6 * STEP)
    history = only(board)["history"]
    assert history["step"] == STEP
    assert history["rate"] == [4, 6, 6, 6, 6, 6, 6]
    # It has been silent for too long.
    clock.advance(2 * STEP)
    history = only(board)["history"]
    assert history["rate"][-3:] == [6, None, None]
    assert (history["failing"][0], history["refused"][0]) == (1, 2)


def test_history_is_bounded(board, clock):
    for number in range(1000):
        board.put(push("a", snapshot(rate=number)))
        clock.advance(STEP)
    most = 4 * 4 * (900 + 60) + (3 * 4 + 4 * 2) * (180 + 60)
    assert 0 < board.size() <= most < 21_000
    history = only(board)["history"]
    assert history["rate"] == list(range(1000 - POINTS, 1000))
    assert board.history("shop", "orders.order", 900)["rate"][:2] == [100, 101]
    clock.advance(1e9)
    board.put(push("a"))
    assert board.size() <= most


def test_bounds(clock):
    small = Board(clock, max_processes=2, max_circuits=3)
    small.put(push("a", snapshot("one"), snapshot("two")))
    small.put(push("b", snapshot("three"), snapshot("four"), snapshot("one")))
    assert [row["name"] for row in small.view()] == ["one", "three", "two"]
    assert small.dropped == 1
    with pytest.raises(WireError, match="full"):
        small.put(push("c"))
    clock.advance(FORGET_AFTER + 1)
    small.put(push("c"))
    assert len(small) == 1


def test_snapshots_are_bounded(clock):
    small = Board(clock, max_circuits=1)
    for number in range(12):
        small.put(push(f"i{number}", snapshot("one")))
    assert only(small)["of"] == 10
    assert small.dropped == 2
    # One that is on the board may push again without counting twice.
    small.put(push("i3", snapshot("one", rate=7)))
    assert only(small)["rate"] == 7


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"service": 7}, "service"),
        ({"service": ""}, "service"),
        ({"instance": None}, "instance"),
        ({"worker": []}, "worker"),
        ({"interval": "5"}, "interval"),
        ({"interval": True}, "interval"),
        ({"interval": math.nan}, "interval"),
        ({"circuits": {}}, "circuits"),
        ({"circuits": [{}] * 2001}, "circuits"),
        ({"circuits": [snapshot(), 5]}, r"circuits\[1\]"),
        ({"circuits": [{"state": "open"}]}, r"circuits\[0\]\.name"),
        ({"circuits": [snapshot(name="x" * 257)]}, r"circuits\[0\]\.name"),
        ({"circuits": [snapshot(state="ajar")]}, r"circuits\[0\]\.state"),
        ({"circuits": [snapshot(rate=-1)]}, r"circuits\[0\]\.rate"),
        ({"circuits": [snapshot(rate=math.inf)]}, r"circuits\[0\]\.rate"),
        ({"circuits": [snapshot(counts={"failure": "1"})]}, r"circuits\[0\]\.counts\.failure"),
        ({"circuits": [snapshot(counts=[])]}, r"circuits\[0\]\.counts"),
        ({"circuits": [snapshot(latency={"p99": "slow"})]}, r"circuits\[0\]\.latency\.p99"),
        ({"circuits": [snapshot(histogram=[[1]])]}, r"circuits\[0\]\.histogram"),
        ({"circuits": [snapshot(histogram=[[70000, 1]])]}, r"circuits\[0\]\.histogram"),
        ({"circuits": [snapshot(histogram=[[5, -1]])]}, r"circuits\[0\]\.histogram"),
        ({"circuits": [snapshot(histogram=[[5, True]])]}, r"circuits\[0\]\.histogram"),
    ],
)
def test_nonsense_is_refused_by_name_and_changes_nothing(board, change, field):
    board.put(push("a", snapshot(rate=3)))
    before = board.view()
    with pytest.raises(WireError, match=field):
        board.put({**push("a"), **change})
    assert board.view() == before


def test_errors_never_echo_what_was_sent(board):
    evil = "<script>alert(1)</script>"
    with pytest.raises(WireError) as caught:
        board.put(push("a", snapshot(state=evil)))
    assert evil not in str(caught.value)


def test_missing_and_unknown_members_are_fine(board):
    board.put(
        {"service": "s", "instance": "i", "circuits": [{"name": "c", "colour": "red", "counts": {"x": 1}}]}
    )
    row = only(board)
    assert (row["state"], row["calls"], row["latency"], row["min_calls"]) == ("closed", 0, {}, 20)


def test_long_error_texts_are_cut(board):
    board.put(push("a", snapshot(last_error="e" * 5000)))
    assert len(only(board)["last_error"]) == 300


def test_the_books_of_random_traffic_agree_with_a_plain_recount(clock):
    rng = random.Random(11)
    board = Board(clock, max_processes=12, max_circuits=6)
    for _ in range(1500):
        instance = f"i{rng.randrange(15)}"
        names = rng.sample("abcdefgh", rng.randrange(5))
        try:
            board.put(
                push(instance, *(snapshot(n) for n in names), interval=rng.choice([0.5, 1, 5]))
                | {"circuits": [snapshot(n) for n in names]}
            )
        except WireError:
            assert len(board) == 12
        if rng.random() < 0.1:
            board.forget("shop", f"i{rng.randrange(15)}")
        clock.advance(rng.choice([0, 0.2, 1, 4, 30]) if rng.random() < 0.3 else 0)
        held = sum(len(one.circuits) for one in board._processes.values())
        assert board._snapshots == held
        assert held == sum(len(one.members) for one in board._circuits.values())
        assert len(board._circuits) <= 6
        for row in board.view():
            assert row["of"] >= 1
            assert row["on"] <= row["of"]
    assert board_module.POINTS == 120


def test_who_holds_a_circuit_by_hand_and_which_commands_were_obeyed(board):
    board.put(push("shop-1", snapshot(command="c7")))
    held = {"mode": "open", "mode_until": 1767225604.5, "mode_reason": "x" * 999, "mode_by": "ada"}
    board.put(push("shop-2", snapshot(state="forced-open", command="c8", **held)))
    board.put(push("shop-3", snapshot()))
    row = only(board)
    assert (row["mode"], row["mode_until"], row["mode_by"]) == ("open", 1767225604.5, "ada")
    assert row["mode_reason"] == "x" * 300
    assert row["commands"] == {"shop-1#1": "c7", "shop-2#1": "c8"}
    board.put(push("shop-2", snapshot(command="c9")))
    row = only(board)
    assert (row["mode"], row["mode_until"], row["mode_reason"], row["mode_by"]) == ("auto", None, "", "")


def test_a_mode_that_nobody_has_is_refused(board):
    with pytest.raises(WireError, match="mode: one of auto, closed, open was expected"):
        board.put(push("shop-1", snapshot(mode="ajar")))


def test_every_count_of_a_snapshot_is_carried(board):
    from resilient.circuits.snapshot import COUNTED

    counts = dict.fromkeys(COUNTED, 1)
    board.put(push("shop-1", snapshot(counts=counts)))
    assert only(board)["counts"] == counts
