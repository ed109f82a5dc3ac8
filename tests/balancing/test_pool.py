"""Ejection, probation, panic: section 5."""

import pytest
from helpers_balancing import DOWN, Bench, NotSent, copies, copy

from resilient.errors import NoInstance
from resilient.events import InstanceEjected, InstanceRestored


def test_case_39_five_in_a_row() -> None:
    bench = Bench("abc")
    for _ in range(4):
        bench.bad("a")
    bench.good("a")
    for _ in range(4):
        bench.bad("a")
    assert bench.state("a") == "healthy"
    bench.bad("a")
    assert bench.state("a") == "ejected"
    (event,) = bench.events
    assert isinstance(event, InstanceEjected)
    assert 5.0 <= event.seconds <= 5.5
    assert event.instance == "a"
    assert bench.shares(500)["a"] == 0


def test_a_refused_connection_suspends_at_once_and_comes_back_by_one_probe() -> None:
    bench = Bench("abc")
    bench.refuse("a")
    assert bench.state("a") == "ejected"
    (event,) = bench.events
    assert isinstance(event, InstanceEjected)
    assert 1.0 <= event.seconds <= 1.1
    assert bench.shares(300)["a"] == 0
    bench.clock.advance(1.2)
    tries = [next(bench.tries(harmless=False)) for _ in range(50)]
    probes = [pick for pick in tries if pick.instance.id == "a"]
    assert len(probes) == 1
    with probes[0]:
        pass
    assert bench.state("a") == "healthy"
    assert isinstance(bench.events[-1], InstanceRestored)


def test_refusals_double_from_one_second_to_half_a_minute() -> None:
    bench = Bench("abc")
    seconds = []
    bench.refuse("a")
    for _ in range(7):
        seconds.append(bench.events[-1].seconds)  # type: ignore[attr-defined]
        bench.clock.advance(seconds[-1] + 0.01)
        tries = bench.tries(harmless=False)
        pick = next(tries)
        assert pick.instance.id == "a"
        with pytest.raises(StopIteration):
            with pick:
                raise ConnectionRefusedError
            tries._granted = False
            next(tries)
    for found, nominal in zip(seconds, (1, 2, 4, 8, 16, 32, 32), strict=True):
        assert nominal <= found <= nominal * 1.1


def test_case_40_two_connect_failures_and_never_the_only_one() -> None:
    bench = Bench("abc")
    for expected in ("healthy", "ejected"):
        with pytest.raises(NotSent):
            with bench.on_try("a"):
                raise NotSent
        assert bench.state("a") == expected
    lonely = Bench("a")
    for _ in range(10):
        lonely.refuse("a")
        lonely.bad("a")
    assert lonely.state("a") == "healthy"
    assert lonely.pick().instance.id == "a"


def test_case_41_the_cap_leaves_the_second_one_in() -> None:
    bench = Bench("abc")
    for _ in range(10):
        bench.bad("a")
        bench.bad("b")
    assert [bench.state(name) for name in "abc"] == ["ejected", "healthy", "healthy"]
    bench.good("c")
    assert bench.shares(500) == {"a": 0, "b": 0, "c": 500}  # suspect: in, but it loses every comparison


def test_case_42_panic_by_overload() -> None:
    names = [f"i{n}" for n in range(10)]
    bench = Bench(names)
    for name in names[:6]:
        for _ in range(6):
            bench.bad(name)
    assert sum(bench.state(name) == "ejected" for name in names) == 5
    bench.pick()
    assert not bench.pool.panic
    bench.bad("i9", 429, 20.0)
    bench.pick()
    assert bench.pool.panic
    assert {node.instance.id for node in bench.pool.usable} == set(names)
    totals = bench.balancer.totals("orders")
    assert totals is not None
    assert (totals.panic, totals.panics, totals.ejected) == (True, 1, 5)


def test_refused_copies_stay_out_even_if_they_are_the_many() -> None:
    bench = Bench("abcd")
    for name in "abc":
        bench.refuse(name)
    assert bench.shares(300) == {"a": 0, "b": 0, "c": 0, "d": 300}
    assert not bench.pool.panic


def test_if_all_refuse_all_are_asked_again() -> None:
    bench = Bench("abc")
    for name in "abc":
        bench.refuse(name)
    assert set(bench.shares(300).values()) != {0}
    bench.clock.advance(0.5)
    bench.good("b")  # an answer is an answer, probe or not
    assert bench.state("b") == "healthy"


def test_case_43_exactly_one_probe_then_slow_start_or_the_next_time() -> None:
    for good in (True, False):
        bench = Bench("abcd")
        for _ in range(5):
            bench.bad("a")
        bench.clock.advance(5.6)
        picks = [bench.pick(harmless=True) for _ in range(50)]
        probes = [pick for pick in picks if pick.instance.id == "a"]
        assert len(probes) == 1
        assert bench.state("a") == "probing"
        with probes[0] as pick:
            pick.answered(200 if good else 500)
        bench.pick()
        if good:
            assert bench.state("a") == "healthy"
            assert bench.node("a").weight == pytest.approx(0.1)
            bench.clock.advance(15.0)
            bench.pick()
            assert bench.node("a").weight == pytest.approx(0.5)
            bench.clock.advance(15.0)
            bench.pick()
            assert bench.node("a").weight == pytest.approx(1.0)
        else:
            assert 10.0 <= bench.events[-1].seconds <= 11.0  # type: ignore[attr-defined]


def test_case_44_a_cancelled_probe_lets_the_next_one_try() -> None:
    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    bench.clock.advance(5.6)
    probe = bench.pick(harmless=True)
    with pytest.raises(KeyboardInterrupt), probe:
        raise KeyboardInterrupt
    assert bench.state("a") == "waiting"
    assert bench.pick(harmless=True).instance.id == "a"


def test_a_probe_that_never_ends_frees_its_place() -> None:
    bench = Bench("abc")
    bench.refuse("a")
    bench.clock.advance(1.2)
    assert bench.pick(harmless=True).instance.id == "a"
    assert "a" not in {bench.pick(harmless=True).instance.id for _ in range(50)}
    bench.clock.advance(10.1)
    assert bench.pick(harmless=True).instance.id == "a"


def test_case_45_calls_that_cannot_be_repeated_wait_before_they_probe() -> None:
    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    bench.clock.advance(5.6)
    assert bench.shares(100)["a"] == 0
    bench.clock.advance(4.0)
    assert bench.shares(100)["a"] == 0
    bench.clock.advance(1.0)
    assert bench.shares(100)["a"] == 1


def test_case_46_ejections_double_and_health_is_forgiven() -> None:
    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    seconds = [bench.events[-1].seconds]  # type: ignore[attr-defined]
    for _ in range(7):
        bench.clock.advance(seconds[-1] + 0.1)
        with bench.pick(harmless=True) as pick:
            assert pick.instance.id == "a"
            pick.answered(500)
        seconds.append(bench.events[-1].seconds)  # type: ignore[attr-defined]
    for found, nominal in zip(seconds, (5, 10, 20, 40, 80, 160, 300, 300), strict=True):
        assert nominal <= found <= nominal * 1.1

    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    for good in (False, False, True):
        bench.clock.advance(40.0)
        with bench.pick(harmless=True) as pick:
            pick.answered(200 if good else 500)
    bench.clock.advance(120.5)
    for _ in range(5):
        bench.bad("a")
    assert 10.0 <= bench.events[-1].seconds <= 11.0  # type: ignore[attr-defined]  # the fourth would be 40


def test_case_47_half_is_not_less_than_half() -> None:
    bench = Bench("abc")
    for _ in range(10):
        bench.good("a")
        bench.bad("a")
    assert bench.state("a") == "healthy"
    bench = Bench("abc")
    for n in range(19):
        bench.good("a") if n % 2 and n < 18 else bench.bad("a")
    assert bench.state("a") == "healthy"
    bench.bad("a")
    assert bench.state("a") == "ejected"


def test_case_48_what_counts_against_a_copy() -> None:
    bench = Bench("abc")
    for _ in range(100):
        bench.bad("a", 404)
    assert bench.state("a") == "healthy"
    for _ in range(5):
        bench.bad("b", 429)
    assert bench.state("b") == "overloaded"
    assert bench.shares(100)["b"] == 0
    bench.clock.advance(1.01)
    assert bench.state("b") == "healthy"
    for _ in range(5):
        bench.bad("c", 500)
    assert bench.state("c") == "ejected"
    bench.bad("a", 503, 7.0)
    bench.clock.advance(6.9)
    assert bench.state("a") == "overloaded"
    bench.clock.advance(0.2)
    assert bench.state("a") == "healthy"
    bench.bad("a", 503, 1e9)
    bench.clock.advance(30.1)
    assert bench.state("a") == "healthy"


def test_case_49_down_in_the_registry_means_no_new_picks() -> None:
    bench = Bench("ab")
    running = [bench.on("a").__enter__() for _ in range(3)]
    bench.set((*copies("a", status=DOWN), *copies("b")))
    assert bench.shares(100)["a"] == 0
    assert bench.state("a") == "away"
    assert bench.node("a").in_flight == 3
    for pick in running:
        pick.__exit__(None, None, None)
    assert bench.node("a").in_flight == 0
    assert bench.node("a").answers == 3


def test_case_50_a_new_port_is_a_new_copy() -> None:
    bench = Bench("ab")
    for _ in range(5):
        bench.bad("a")
    bench.set([copy("a", host="host-a", port=81), *copies("b")])
    bench.pick()
    assert bench.state("a") == "healthy"
    assert bench.node("a").answers == 0


def test_case_51_health_survives_new_directories() -> None:
    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    for n in range(100):
        bench.set(copies("abc" if n % 2 else "cba", renew_every=30.0 + n))
        bench.pick()
    assert bench.state("a") == "ejected"
    assert bench.node("a").instance.renew_every == 129.0


def test_a_restarted_copy_is_fresh() -> None:
    bench = Bench("abc")
    for _ in range(5):
        bench.bad("a")
    bench.set((*copies("a", status=DOWN, dirty_at=1), *copies("bc")))
    bench.pick()
    bench.set((*copies("a", dirty_at=2), *copies("bc")))
    bench.pick()
    assert bench.state("a") == "healthy"


def test_a_copy_that_registers_again_is_asked_at_once() -> None:
    bench = Bench("abc")
    for _ in range(3):
        bench.refuse("a")
    bench.set((*copies("a", dirty_at=2), *copies("bc")))
    assert next(bench.tries()).instance.id == "a"


def test_vanished_copies_are_forgotten_in_time() -> None:
    bench = Bench("ab")
    bench.pick()
    bench.set(copies("b"))
    bench.pick()
    assert len(bench.pool.nodes) == 2
    bench.clock.advance(601.0)
    bench.set(copies("bc"))
    bench.pick()
    assert sorted(node.instance.id for node in bench.pool.nodes.values()) == ["b", "c"]
    for n in range(500):
        bench.set(copies([f"x{n}"]))
        bench.pick()
    assert len(bench.pool.nodes) < 110


def test_case_28_all_new_together_do_not_ramp() -> None:
    bench = Bench("ab")
    bench.pick()
    bench.clock.advance(60.0)
    bench.set(copies("abcde"))
    bench.pick()
    assert {node.weight for node in bench.pool.up} == {1.0}


def test_case_27_one_new_copy_ramps() -> None:
    bench = Bench("abcd")
    bench.pick()
    bench.clock.advance(60.0)
    bench.set(copies("abcde"))
    bench.pick()
    assert bench.node("e").weight == pytest.approx(0.1)
    bench.clock.advance(15.0)
    bench.pick()
    assert bench.node("e").weight == pytest.approx(0.5)


def test_case_54_drained_is_drained_even_in_panic() -> None:
    bench = Bench("abcd")
    bench.pick()
    bench.balancer.drain("orders", "a")
    for name in "bcd":
        bench.bad(name, 429, 20.0)
    assert bench.shares(300)["a"] == 0
    assert bench.pool.panic
    bench.balancer.restore("orders", "a")
    assert bench.shares(300)["a"] > 100
    with pytest.raises(KeyError):
        bench.balancer.drain("orders", "z")


def test_late_answers_decide_nothing() -> None:
    bench = Bench("abc")
    late_good, late_bad = bench.on("a").__enter__(), bench.on("a").__enter__()
    bench.clock.advance(0.1)
    bench.refuse("a")
    late_good.__exit__(None, None, None)
    assert bench.state("a") == "ejected"
    bench.clock.advance(1.2)
    with bench.pick(harmless=True) as probe:
        assert probe.instance.id == "a"
    late_bad._leave(ConnectionRefusedError())
    assert bench.state("a") == "healthy"
    assert bench.node("a").in_flight == 0


def test_nobody_up_is_no_instance() -> None:
    bench = Bench("ab")
    bench.set(copies("ab", status=DOWN))
    with pytest.raises(NoInstance, match="2 in the directory"):
        bench.pick()
