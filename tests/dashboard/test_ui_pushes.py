"""What a push may say, and what the board makes of it: holds, hands, failures by kind, and nonsense."""

from __future__ import annotations

import asyncio
import gc
import random

import orjson
import pytest
from seeded_source import SeededSource
from test_ui_history import ROW, Caller, broken, only
from ui_kit import Site

from registry_server.board import Board, Unknown
from registry_server.board_push import parse
from registry_server.board_wire import LETTERS
from registry_server.slices import whole
from resilient.clock import ManualClock
from resilient.errors import WireError


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def board(clock):
    return Board(clock)


def test_who_holds_a_circuit_since_when_and_until_when_is_known_after_a_restart(clock, board):
    caller = Caller(clock, board, "a")
    caller.circuits["pay"].open(3600, reason="drill", by="Ann")
    caller.push()
    clock.advance(600)
    began, until = clock.time() - 600, clock.time() + 3000
    # The registry is started again, and told everything.
    caller.board = Board(clock)
    turns = []
    caller.board.listen(turns.append)
    caller.pusher.forget()
    caller.push()
    (turn,) = turns
    assert (turn["state"], turn["by"], turn["reason"]) == ("forced-open", "Ann", "drill")
    assert turn["at"] == pytest.approx(began, abs=0.1)
    assert turn["until"] == pytest.approx(until, abs=0.1)
    row = only(caller.board)
    assert (row["mode"], row["mode_by"], row["mode_reason"]) == ("open", "Ann", "drill")
    assert row["mode_until"] == pytest.approx(until, abs=0.1)
    clock.advance(3000)
    caller.push()
    assert only(caller.board)["mode"] == "auto"


def test_who_turned_a_circuit_by_hand_is_told_with_the_turn_and_with_no_later_one(clock, board):
    turns = []
    board.listen(turns.append)
    caller = Caller(clock, board, "a", error_rate=0.5)
    caller.call(5, fail=5)
    caller.push()
    caller.circuits["pay"].close(reason="mended", by="Ann")
    caller.push()
    clock.advance(20)
    caller.call(5, fail=5)
    caller.push()
    said = [(one["before"], one["state"], one["by"], one["reason"]) for one in turns]
    assert said == [
        ("closed", "open", "", ""),
        ("open", "closed", "Ann", "mended"),
        ("closed", "open", "", ""),
    ]
    assert turns[2]["why"]["rule"] == "error_rate"
    told = board.detail("shop", "pay")["turns"]
    assert [(one["to"], one["by"], one["reason"]) for one in told] == [
        ("open", "", ""),
        ("closed", "Ann", "mended"),
        ("open", "", ""),
    ]


def test_failures_by_kind_are_added_over_processes_with_the_newest_words(clock, board):
    one, two = Caller(clock, board, "a"), Caller(clock, board, "b")
    one.call(10, fail=3)
    one.push()
    clock.advance(1)
    two.call(10, fail=2)
    two.push()
    (found,) = board.detail("shop", "pay")["failures"]
    assert found == {"kind": "ValueError", "n": 5, "last": "ValueError: no"}


def row_with(kinds, error=""):
    return ["pay", "C", 1.0, None, [0] * 16, [0, 0, 0], 0, 0, [], error, 0, kinds]


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ([], []),
        (None, []),
        ([["KeyError", 4], ["timeout", 2]], [("KeyError", 8, "KeyError: 'x'"), ("timeout", 4, "")]),
        ([["K" * 500, 1]], [("K" * 80, 2, "KeyError: 'x'")]),
        ([[f"E{n}", n + 1] for n in range(50)], None),
    ],
)
def test_kinds_of_failures_are_bounded(clock, board, kinds, found):
    body = {"v": 2, "service": "shop", "worker": "w", "interval": 1.0, "full": True}
    for name in "ab":
        board.put({**body, "instance": name, "rows": [row_with(kinds, "KeyError: 'x'")]})
    failures = board.detail("shop", "pay")["failures"]
    if found is None:
        assert len(failures) == 9
    else:
        assert [tuple(one.values()) for one in failures] == found


@pytest.mark.parametrize("kinds", [5, "x", [5], [[5, 5]], [["x", -1]], [["x"]], [["x", 1.5]], {"x": 1}])
def test_kinds_that_make_no_sense_are_refused(board, kinds):
    body = {"v": 2, "service": "shop", "instance": "a", "worker": "w", "interval": 1.0, "full": True}
    with pytest.raises(WireError, match=r"rows\[0\]"):
        board.put({**body, "rows": [row_with(kinds)]})
    assert list(board.rows()) == []


def test_kinds_in_the_plain_form(board):
    one = {"name": "pay", "last_error": "timed out", "kinds": {"timeout": 3, "KeyError": 1}}
    board.put({"service": "shop", "instance": "a", "circuits": [one]})
    assert board.detail("shop", "pay")["failures"] == [
        {"kind": "timeout", "n": 3, "last": "timed out"},
        {"kind": "KeyError", "n": 1, "last": ""},
    ]


EVIL = [
    b"",
    b"nonsense",
    b"[1, 2]",
    b'{"v": 2, "rows": 7}',
    b'{"v": 2, "rows": null}',
    b'{"v": 2.0, "service": "s", "instance": "i", "rows": []}',
    b'{"v": 2, "rows": [' + b"[" * 200_000,
    b'{"v": 2, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"v": 2, "service": "\\ud800", "instance": "i", "rows": []}',
    b'{"v": 2, "service": "s", "instance": "i", "rows": [], "x": 1e999}',
    b'{"v": 2, "service": "s", "instance": "\xff", "rows": []}',
    b'{"v": 2, "service": "s", "instance": "i", "rows": [' + b"[]," * 2000 + b"[]]}",
    b'{"v": 2, "service": "s", "instance": "i", "about": {"a": 5}, "full": true}',
    b'{"v": 2, "service": "s", "instance": "i", "about": 5, "full": true}',
    b'{"v": 2, "service": "s", "instance": "i", "settings": 5, "full": true}',
    b'{"v": 2, "service": "s", "instance": "i", "why": [5], "full": true}',
    b'{"v": 2, "service": "s", "instance": "i", "interval": "soon", "full": true}',
    b'{"v": 2, "service": 5, "instance": "i", "full": true}',
    b'{"v": 2, "full": true}',
]


@pytest.mark.parametrize("body", EVIL, ids=lambda body: repr(body[:60]))
def test_a_message_that_makes_no_sense_is_refused_and_changes_nothing(clock, board, body):
    Caller(clock, board, "a").push()
    before = board.view()
    with pytest.raises(WireError):
        board.put(parse(body))
    assert board.view() == before


@pytest.mark.parametrize(
    "latencies", [b"[[1,2", b'["x"]', b"{}", b"7", b'"x"', b"null", b"[null]", b"[[true]]"]
)
def test_latencies_of_another_shape_are_no_row(board, latencies):
    row = orjson.dumps(ROW).replace(b"[],", latencies + b",")
    body = b'{"v": 2, "service": "s", "instance": "i", "full": true, "rows": [%b]}' % row
    with pytest.raises(WireError, match=r"rows\[0\]|JSON"):
        board.put(parse(body))


def test_white_space_and_what_is_not_known_are_nobodys_business(board):
    body = {"v": 2, "service": "s", "instance": "i", "full": True, "rows": [[*ROW[:8], [], *ROW[9:]]]}
    body["more of it"] = {"x": [1, None]}
    board.put(parse(orjson.dumps(body, option=orjson.OPT_INDENT_2)))
    period = [7, 300, [1, 2, 3], 0.5, 0.2]
    body["rows"] = [broken(8, [period])]
    board.put(parse(orjson.dumps(body, option=orjson.OPT_INDENT_2)))
    body["rows"] = [ROW]
    text = orjson.dumps(body, option=orjson.OPT_INDENT_2).replace(b"[],", b"[ \n ],")
    board.put(parse(text))
    assert only(board)["latency"]["mean"] == pytest.approx(0.5 / 6)


def test_of_latencies_told_twice_the_newer_hold(clock, board):
    body = {"v": 2, "service": "s", "instance": "i", "full": True}
    for periods in ([[1, 300, [1], 1.0, 1.0], [2, 300, [1], 1.0, 1.0]], [[2, 300, [5], 5.0, 1.0]]):
        board.put({**body, "rows": [broken(8, periods)]})
    assert only(board)["latency"]["mean"] == pytest.approx(1.0)
    (said,) = (one.circuits["pay"] for one in board._processes.values())
    assert [(one.number, one.total) for one in said.fresh(clock.monotonic())] == [(2, 5.0), (1, 1.0)]
    for number in range(3, 30):
        clock.advance(5)
        board.put({**body, "rows": [broken(8, [[number, 300, [1], 1.0, 1.0]])]})
    assert len(said.periods) <= 7
    clock.advance(61)
    assert said.fresh(clock.monotonic()) == []


def test_what_is_kept_of_a_row_is_nothing_that_the_collector_looks_at(clock, board):
    Caller(clock, board, "a").call(3)
    caller = Caller(clock, board, "b")
    caller.call(9, fail=4)
    caller.push()
    (said,) = (one.circuits["pay"] for one in board._processes.values())
    assert not any(
        gc.is_tracked(one) for one in (said.word, said.word.counts, said.word.judged, *said.periods)
    )
    assert len(said.periods[0].raw) < 1000  # of its own, not a view of the whole message
    assert bytes(said.word.periods) == b"[]"


def test_sums_agree_with_a_recount_whatever_happens(clock, board):
    rng = random.Random(8)
    callers = [
        Caller(clock, board, f"h{n}", circuits=["pay", "ship"], window=5.0, min_calls=999) for n in range(6)
    ]
    for _ in range(600):
        caller = rng.choice(callers)
        name = rng.choice(["pay", "ship"])
        match rng.randrange(8):
            case 0:
                clock.advance(rng.choice([0.1, 1, 7, 30]))
            case 1:
                caller.circuits[name].open(rng.choice([5, 60]))
            case 2:
                caller.circuits[name].close()
            case 3:
                board.forget("shop", caller.name)
                caller.pusher.forget()
            case _:
                if caller.circuits[name].snapshot().state == "closed":
                    caller.call(rng.randrange(9), fail=rng.randrange(3), name=name)
                try:
                    caller.push()
                except Unknown:
                    caller.pusher.forget()
        board.tick()
        for circuit in board._circuits.values():
            said = [one.circuits[circuit.name] for one in circuit.members.values() if not one.silent]
            assert circuit.heard == len(said)
            counts = [one.word.counts for one in said]
            assert circuit._refused == sum(one.short_circuited for one in counts)
            assert circuit._timeouts == sum(one.timeout for one in counts)
            assert circuit._fail == sum(one.failure + one.timeout + one.rejected for one in counts)
            assert circuit.rate == pytest.approx(sum(one.rate for one in said), abs=1e-9)
            for letter, n in circuit._letters.items():
                assert n == sum(one.word.state == letter for one in said)
        for row in board.rows():
            if row["processes"]:
                circuit = board._circuits[row["service"], row["name"]]
                assert row["state"] == LETTERS[circuit.state]


def test_calls_towards_a_target_are_those_of_all_circuits_with_gaps_where_nobody_was_heard(clock, board):
    def told(service, name, rate, target="bank"):
        one = {"name": name, "target": target, "rate": rate}
        return {"service": service, "instance": "a", "interval": 15.0, "circuits": [one]}

    board.put(told("shop", "pay", 2.0))
    board.put(told("shop-2", "nobody", 7.0, target=None))
    clock.advance(3)
    board.put(told("cart", "pay", 5.0))
    clock.advance(2)
    assert whole(board.rates(120)) == {"bank": [2.0, 2.0, 2.0, 7.0, 7.0]}
    assert whole(board.rates(2)) == {"bank": [7.0, 7.0]}
    board.forget("shop", "a")
    assert whole(board.rates(120)) == {"bank": [5.0, 5.0]}
    for _ in range(40):
        clock.advance(1)
        board.tick()
    assert whole(board.rates(2)) == {"bank": [None, None]}
    assert len(whole(board.rates(900))["bank"]) == 42


def test_calls_of_many_circuits_are_added_in_steps(clock, board):
    rows = [{"name": f"c{n}", "target": f"t{n % 4}", "rate": 1.0} for n in range(400)]
    board.put({"service": "shop", "instance": "a", "interval": 15.0, "circuits": rows})
    clock.advance(5)
    steps = board.rates(120)
    assert len([*steps]) == 400
    assert whole(board.rates(120)) == {f"t{n}": [100.0] * 5 for n in range(4)}


async def test_pages_ask_for_calls_once_for_all_and_for_the_window_there_is():
    source = SeededSource(services=6, circuits=8, past=30)
    asked = []

    async def rates(seconds, own=source.rates):
        asked.append(seconds)
        return await own(seconds)

    source.rates = rates
    async with Site(source, interval=600) as site:
        found = await asyncio.gather(*(site.json("data/circuits/rates?n=40") for _ in range(5)))
        assert found[0]
        assert all(one == found[0] for one in found)
        assert all(len(series) <= 40 for series in found[0].values())
        assert asked == [40]
        for path in ("stream", "data/circuits", "data/circuits/rates"):
            async with site.session.get(f"{site.url}{path}?window=60") as answer:
                assert answer.status == 400
                assert "10" in await answer.text()
        assert await site.json("data/circuits?window=10")
