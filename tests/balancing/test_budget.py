from hypothesis import given
from hypothesis import strategies as st

from resilient.balancing.budget import Budget


def test_case_58_a_fresh_process_at_one_instant() -> None:
    budget = Budget()
    for _ in range(1000):
        budget.deposit(50.0)
    assert sum(budget.withdraw(50.0) for _ in range(1000)) == 230


def test_a_fresh_budget_has_thirty() -> None:
    budget = Budget()
    assert budget.balance(0.0) == 30
    assert sum(budget.withdraw(0.5) for _ in range(100)) == 30
    assert budget.balance(0.5) == 0


def test_case_59_a_minute_of_failures() -> None:
    budget, begun, repeated = Budget(), [], []
    for n in range(6000):
        now = 1000.0 + n / 100
        budget.deposit(now)
        begun.append(now)
        if budget.withdraw(now):
            repeated.append(now)
    assert len(begun) + len(repeated) <= 6000 * 1.2 + 3 * 60 + 30
    assert len(repeated) > 0.9 * (6000 * 0.2 + 3 * 60)  # and it is really granted
    for start in range(1000, 1050):
        calls = sum(start <= one < start + 10 for one in begun)
        assert sum(start <= one < start + 10 for one in repeated) <= 0.2 * calls + 30


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(0, 40), st.integers(0, 60)), max_size=40))
def test_never_more_than_the_rule_in_any_ten_seconds(steps: list[tuple[float, int, int]]) -> None:
    budget, now, begun, granted = Budget(), 100.0, [], []
    for wait, calls, wishes in steps:
        now += wait
        for _ in range(calls):
            budget.deposit(now)
            begun.append(now)
        for _ in range(wishes):
            if budget.withdraw(now):
                granted.append(now)
                ours = sum(now - one < 10 for one in granted)
                assert ours <= 0.2 * sum(now - one < 10 for one in begun) + 30 + 1e-9


@given(st.floats(0, 1e6), st.integers(0, 200))
def test_what_the_balance_says_is_what_is_granted(now: float, calls: int) -> None:
    budget = Budget()
    for _ in range(calls):
        budget.deposit(now)
    promised = budget.balance(now)
    assert sum(budget.withdraw(now) for _ in range(promised + 5)) == promised
