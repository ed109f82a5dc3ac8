from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from scripted import one

from resilient.clock import ManualClock
from resilient.discovery.lease import Answer, BackOff, LeaseKeeper, Step
from resilient.model import Status


def keeper(clock: ManualClock, seed: int = 1) -> LeaseKeeper:
    return LeaseKeeper(one("i1", dirty_at=0), clock=clock, rng=Random(seed))


def signed_in(clock: ManualClock, seed: int = 1) -> LeaseKeeper:
    lease = keeper(clock, seed)
    assert lease.heard(Step.SIGN_IN, lease.instance, Answer.TAKEN) == "registered"
    return lease


def test_signing_in_comes_first_and_at_once_with_the_wall_clocks_stamp() -> None:
    clock = ManualClock()
    lease = keeper(clock)
    assert lease.next() == (Step.SIGN_IN, 0.0)
    assert lease.instance.dirty_at == int(clock.time() * 1000)
    assert not lease.registered


def test_renewals_follow_every_thirty_seconds_give_or_take_a_tenth() -> None:
    waits = []
    for seed in range(200):
        clock = ManualClock()
        lease = signed_in(clock, seed)
        step, wait = lease.next()
        assert step is Step.RENEW
        waits.append(wait)
        clock.advance(wait)
        assert lease.next()[1] == 0
        assert lease.heard(Step.RENEW, lease.instance, Answer.TAKEN) == ""
        assert 27 <= lease.next()[1] <= 33
    assert min(waits) >= 27
    assert max(waits) <= 33
    assert max(waits) - min(waits) > 4


def test_a_registry_that_does_not_know_us_gets_a_new_registration_at_once() -> None:
    clock = ManualClock()
    lease = signed_in(clock)
    stamp = lease.instance.dirty_at
    assert lease.heard(Step.RENEW, lease.instance, Answer.UNKNOWN) == "lost"
    assert lease.next() == (Step.SIGN_IN, 0.0)
    assert lease.instance.dirty_at > stamp  # although no time has passed
    assert not lease.registered


def test_a_refused_registration_is_not_one_and_is_tried_again() -> None:
    for answer in (Answer.REFUSED, Answer.SILENCE, Answer.UNKNOWN):
        lease = keeper(ManualClock())
        assert lease.heard(Step.SIGN_IN, lease.instance, answer) == "unreachable"
        step, wait = lease.next()
        assert step is Step.SIGN_IN
        assert 0 < wait <= 1
        assert not lease.registered
        assert lease.heard(Step.SIGN_IN, lease.instance, answer) == ""  # said once


def test_silence_leads_to_sooner_tries_that_never_lie_further_apart_than_heartbeats() -> None:
    clock = ManualClock()
    lease = signed_in(clock)
    longest = 0.0
    for _ in range(200):
        lease.heard(Step.RENEW, lease.instance, Answer.SILENCE)
        step, wait = lease.next()
        assert step is Step.RENEW
        longest = max(longest, wait)
        assert 0 < wait <= 30
    assert longest > 20
    assert lease.registered  # the lease may well run on
    lease.heard(Step.RENEW, lease.instance, Answer.TAKEN)
    lease.heard(Step.RENEW, lease.instance, Answer.SILENCE)
    assert lease.next()[1] <= 5  # back-off began anew


def test_a_status_change_is_told_at_once_and_with_a_new_stamp() -> None:
    clock = ManualClock()
    lease = signed_in(clock)
    stamp = lease.instance.dirty_at
    clock.advance(5)
    assert not lease.become(Status.UP)
    assert lease.become(Status.DOWN)
    assert lease.next() == (Step.SIGN_IN, 0.0)
    assert lease.instance.status is Status.DOWN
    assert lease.instance.dirty_at == stamp + 5000
    assert lease.tell({"version": "2"})
    assert not lease.tell({"version": "2"})


def test_a_change_made_while_a_registration_was_under_way_is_told_too() -> None:
    clock = ManualClock()
    lease = keeper(clock)
    sent = lease.instance
    lease.become(Status.DOWN)
    lease.heard(Step.SIGN_IN, sent, Answer.TAKEN)
    assert lease.next() == (Step.SIGN_IN, 0.0)
    lease.heard(Step.SIGN_IN, lease.instance, Answer.TAKEN)
    sent = lease.instance
    lease.become(Status.UP)
    lease.heard(Step.RENEW, sent, Answer.SILENCE)
    assert lease.next()[0] is Step.SIGN_IN


def test_nothing_follows_a_sign_out() -> None:
    clock = ManualClock()
    lease = signed_in(clock)
    lease.sign_out()
    assert lease.next() == (Step.SIGN_OUT, 0.0)
    assert lease.instance.status is Status.DOWN
    # the answer to a heartbeat that was under way comes in late
    assert lease.heard(Step.RENEW, lease.instance, Answer.UNKNOWN) == ""
    assert lease.next()[0] is Step.SIGN_OUT
    assert lease.heard(Step.SIGN_OUT, lease.instance, Answer.TAKEN) == "signed-out"
    assert lease.next() == (Step.REST, float("inf"))
    assert not lease.become(Status.UP)
    lease.sign_out()
    assert lease.next()[0] is Step.REST


def test_a_wall_clock_that_steps_back_makes_no_news_look_old_and_moves_no_heartbeat() -> None:
    clock = ManualClock()
    lease = signed_in(clock)
    stamp, due = lease.instance.dirty_at, lease.next()[1]
    clock.step_wall(-3600)
    assert lease.next()[1] == due
    lease.become(Status.DOWN)
    assert lease.instance.dirty_at == stamp + 1
    clock.step_wall(7200)
    lease.heard(Step.SIGN_IN, lease.instance, Answer.TAKEN)
    assert 27 <= lease.next()[1] <= 33


def test_many_who_lost_the_registry_together_do_not_come_back_together() -> None:
    waits = sorted(BackOff(Random(seed), first=30).next() for seed in range(1000))
    in_each_second = [sum(second <= wait < second + 1 for wait in waits) for second in range(30)]
    assert max(in_each_second) <= 2 * 1000 / 30


class Life(RuleBasedStateMachine):
    """A keeper against a registry that knows it or does not, hears it or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.lease = keeper(self.clock)
        self.stamps = [self.lease.instance.dirty_at]
        self.there = 0  # the stamp the registry has, 0 for none
        self.status = Status.UNKNOWN
        self.out = False

    @rule(hears=st.booleans())
    def step(self, hears: bool) -> None:
        step, wait = self.lease.next()
        if step is Step.REST:
            return
        self.clock.advance(wait)
        assert self.lease.next() == (step, 0.0)
        sent = self.lease.instance
        answer = Answer.TAKEN
        if not hears:
            answer = Answer.SILENCE
        elif step is Step.SIGN_IN:
            assert not self.out
            self.there, self.status = sent.dirty_at, sent.status
        elif step is Step.RENEW:
            assert not self.out
            answer = Answer.TAKEN if self.there == sent.dirty_at else Answer.UNKNOWN
        else:
            self.there = 0
        self.lease.heard(step, sent, answer)
        if hears and step is Step.RENEW and answer is Answer.UNKNOWN:
            assert self.lease.next() == (Step.SIGN_IN, 0.0)

    @rule()
    def restart_of_the_registry(self) -> None:
        self.there = 0

    @rule(status=st.sampled_from([Status.UP, Status.DOWN, Status.STARTING]))
    def change(self, status: Status) -> None:
        self.lease.become(status)

    @rule(seconds=st.floats(-7200, 7200))
    def clock_is_set(self, seconds: float) -> None:
        self.clock.step_wall(seconds)

    @rule()
    def leave(self) -> None:
        self.lease.sign_out()
        self.out = True

    @invariant()
    def stamps_grow(self) -> None:
        stamp = self.lease.instance.dirty_at
        assert stamp >= self.stamps[-1]
        self.stamps.append(stamp)

    @invariant()
    def nobody_waits_longer_than_a_heartbeat(self) -> None:
        step, wait = self.lease.next()
        assert step is Step.REST or 0 <= wait <= 33

    def teardown(self) -> None:
        # A registry that hears everything has us, as we are, after two more steps at most; or not at all.
        self.step(hears=True)
        self.step(hears=True)
        if self.out:
            assert self.lease.next()[0] is Step.REST
        else:
            assert (self.there, self.status) == (self.lease.instance.dirty_at, self.lease.instance.status)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
