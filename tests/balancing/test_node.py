"""The arithmetic of section 7."""

from math import exp, nan

import pytest
from helpers_balancing import copy
from hypothesis import given
from hypothesis import strategies as st

from resilient.balancing.node import UNMEASURED, Mean, Node
from resilient.balancing.rules import Candidates, two_choices
from resilient.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def node(clock: ManualClock) -> Node:
    return Node(copy("a"), clock.monotonic)


def usual(seconds: float) -> Mean:
    mean = Mean()
    mean.value, mean.count = seconds, 10
    return mean


def test_case_29_up_at_once(node: Node) -> None:
    node.measured(1.0, 0.0)
    node.answered(usual(1.0), 5.0, 0.0)
    assert node.latency == 5.0


def test_case_30_down_slowly(node: Node) -> None:
    node.measured(5.0, 100.0)
    node.answered(usual(1.0), 1.0, 110.0)
    assert node.latency == pytest.approx(5 * exp(-1) + 1 - exp(-1)) == pytest.approx(2.471, abs=1e-3)


def test_case_31_reading_fades(node: Node, clock: ManualClock) -> None:
    node.measured(5.0, clock.monotonic())
    clock.advance(20.0)
    assert node.load == pytest.approx(0.677, abs=1e-3)
    clock.advance(1000.0)
    assert node.load == 0.001


def test_case_32_a_clock_that_steps_back_changes_nothing(node: Node) -> None:
    node.measured(5.0, 100.0)
    node.answered(usual(1.0), 1.0, 95.0)
    assert node.latency == pytest.approx(5.0)
    assert node.load_at(90.0) == pytest.approx(5.0)


@pytest.mark.parametrize("order", [0, 1])
def test_case_33_the_unmeasured_is_tried_first_but_once(node: Node, clock: ManualClock, order: int) -> None:
    other = Node(copy("b"), clock.monotonic)
    other.measured(0.01, clock.monotonic())
    both = Candidates([node, other][:: -1 if order else 1])

    class Fixed:
        def getrandbits(self, bits: int) -> int:
            return 0

    assert two_choices(both, Fixed()) is node  # type: ignore[arg-type]
    node.in_flight = 1
    other.measured(1000.0, clock.monotonic())
    assert two_choices(both, Fixed()) is other  # type: ignore[arg-type]
    assert UNMEASURED < 2 * UNMEASURED == Node.load_at(_busy(node, 2), 0.0)


def _busy(node: Node, calls: int) -> Node:
    node.in_flight = calls
    return node


def test_two_choices_reads_as_the_node_does(node: Node, clock: ManualClock) -> None:
    other = Node(copy("b"), clock.monotonic)
    now = clock.monotonic()

    class Fixed:
        def getrandbits(self, bits: int) -> int:
            return 0

    for la, sa, qa, lb, sb, qb in [
        (1.0, 0.0, 0, 1.1, 5.0, 0),
        (1.0, 0.0, 3, 1.1, 0.0, 2),
        (5.0, 20.0, 0, 1.0, 0.0, 0),
        (1e-6, 0.0, 0, 1e-7, 0.0, 0),
        (30.0, 900.0, 1, 1.0, 900.0, 0),
    ]:
        node.measured(la, now - sa)
        other.measured(lb, now - sb)
        node.in_flight, other.in_flight = qa, qb
        expected = other if other.load < node.load else node
        assert two_choices(Candidates([node, other]), Fixed()) is expected  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.floats(1e-8, 1e6), st.floats(0.0, 500.0), st.integers(0, 50)), min_size=2, max_size=2
    ),
    st.floats(500.0, 1e8),
)
def test_marks_compare_as_loads_do(seen: list[tuple[float, float, int]], now: float) -> None:
    clock = ManualClock(now)
    nodes = [Node(copy(name), clock.monotonic) for name in "ab"]
    for node, (latency, age, busy) in zip(nodes, seen, strict=True):
        node.measured(latency, now - age)
        node.in_flight = busy

    class Fixed:
        def getrandbits(self, bits: int) -> int:
            return 0

    a, b = (node.load for node in nodes)
    chosen = two_choices(Candidates(nodes), Fixed())  # type: ignore[arg-type]
    # Logarithms of a clock that has run for years lose some digits; nobody can tell such loads apart.
    if b < a * (1 - 1e-6):
        assert chosen is nodes[1]
    elif a < b * (1 - 1e-6):
        assert chosen is nodes[0]


def test_one_lucky_first_answer_makes_nobody_look_slow() -> None:
    mean = Mean()
    assert mean.learn(0.001) == 1.0
    assert mean.learn(0.1) == pytest.approx(0.1 / 0.0505)  # and not a hundred
    assert mean.learn(0.001) < 0.1
    for _ in range(7):
        mean.learn(0.05)
    assert mean.count == 10
    usual = mean.value
    assert mean.learn(10 * usual) == pytest.approx(10.0)


def test_an_answer_in_no_time_at_all(node: Node) -> None:
    mean = Mean()
    node.answered(mean, 0.0, 1.0)
    node.answered(mean, 0.0, 2.0)
    assert node.load_at(2.0) >= 0.001
    assert mean.value == 1e-4


def test_case_34_first_failure_of_a_fresh_instance(node: Node) -> None:
    node.failed(usual(1.0), 0.001, 0.0)
    assert node.latency == pytest.approx(33.333, abs=1e-2)


def test_case_35_one_failure_among_hundreds(node: Node) -> None:
    mean = usual(1.0)
    for _ in range(398):
        node.answered(mean, 0.0001, 5.0)
    node.measured(0.0, 5.0)
    node.failed(mean, 0.0001, 5.0)
    assert node.latency == pytest.approx(100 / 401)


def test_case_36_nothing_but_failures(node: Node) -> None:
    for _ in range(100):
        node.failed(usual(1.0), 0.001, 5.0)
    assert node.latency == pytest.approx(98.04, abs=0.01)


def test_case_38_the_usual_time_of_a_command() -> None:
    mean = Mean()
    for n in range(1, 11):
        mean.learn(n / 100)
    assert mean.value == pytest.approx(0.055)
    mean.learn(0.155)
    assert mean.value == pytest.approx(0.057)


def test_the_written_out_mean_is_the_same(node: Node) -> None:
    one, other = Mean(), Mean()
    for n in range(1, 40):
        one.learn(n / 7)
        node.answered(other, n / 7, float(n))
    assert one.value == pytest.approx(other.value)


def test_the_usual_never_becomes_nothing() -> None:
    mean = Mean()
    for _ in range(20):
        assert mean.learn(0.0) >= 0.0
    assert mean.value == 1e-4


def test_a_quick_404_does_not_look_fast(node: Node) -> None:
    mean = usual(0.1)
    node.faulted(mean, 0.001, 5.0)
    assert node.latency == 1.0
    assert mean.value == 0.1


def test_counts_of_half_a_minute(node: Node) -> None:
    mean = usual(1.0)
    for second in range(100):
        node.answered(mean, 1.0, second + 0.5)
        if second % 2:
            node.failed(mean, 1.0, second + 0.7)
    assert node.lately(99.9) == (30, 15, 0)
    assert node.lately(129.5) == (0, 0, 0)
    assert len(node.ring) <= 30


def test_a_senseless_duration_teaches_nothing() -> None:
    from helpers_balancing import Bench

    bench = Bench("ab")
    pick = bench.on("a").__enter__()
    pick._began = nan
    pick.__exit__(None, None, None)
    assert bench.node("a").latency == -1.0
    assert bench.node("a").in_flight == 0
