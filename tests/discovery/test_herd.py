"""Two hundred clients whose registry dies and comes back: none of its seconds is twice the usual (R-13)."""

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from scripted import listing, one

from resilient.clock import ManualClock
from resilient.discovery import polling
from resilient.discovery.feed import End, FeedPlan, Position
from resilient.discovery.lease import LONGEST_BACK_OFF, Answer, BackOff, LeaseKeeper, Step, jittered
from resilient.discovery.mirror import Mirror
from resilient.eureka.json import read_applications

CLIENTS, INTERVAL, RENEW = 200, 5.0, 30.0
PAGE = read_applications(listing([]))
URL = "http://a/eureka/"


class World:
    """Time, what is to happen in it, and a registry that counts what it is asked in each second."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.start = self.clock.monotonic()
        self.plan: list[tuple[float, int, Callable[[], None]]] = []
        self.up = True
        self.life = 0
        self.leases: set[int] = set()
        self.streams: list[Client] = []
        self.asked: Counter[int] = Counter()

    @property
    def now(self) -> float:
        return self.clock.monotonic() - self.start

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.plan, (self.now + seconds, len(self.plan) * 1000 + id(what) % 1000, what))

    def run(self, until: float) -> None:
        while self.plan and self.plan[0][0] <= until:
            at, _, what = heapq.heappop(self.plan)
            self.clock.advance(max(0.0, at - self.now))
            what()
        self.clock.advance(until - self.now)

    def ask(self) -> bool:
        if self.up:
            self.asked[int(self.now)] += 1
        return self.up

    def die(self) -> None:
        self.up = False
        self.leases.clear()
        self.life += 1
        streams, self.streams = self.streams, []
        for client in streams:
            client.lost()

    def rise(self) -> None:
        self.up = True


class Client:
    """What `Poller`, `Feeder` and the lease's loop do, on a clock of its own and without a network."""

    def __init__(self, world: World, number: int, feeds: bool) -> None:
        self.world, self.number, self.feeds = world, number, feeds
        self.rng = Random(number)
        self.mirror = Mirror(clock=world.clock, rng=self.rng)
        self.feed = FeedPlan(clock=world.clock, rng=self.rng)
        self.keeper = LeaseKeeper(
            one(f"i{number}", renew_every=RENEW, dirty_at=0), clock=world.clock, rng=self.rng
        )
        self.back_off = BackOff(self.rng)
        self.poll_number = 0
        self.epoch = ""
        # Programs do not all start in the same moment.
        world.later(self.rng.uniform(0, RENEW), self.poll)
        world.later(self.rng.uniform(0, RENEW), self.lease)

    def next_poll(self, seconds: float) -> None:
        self.poll_number += 1
        number = self.poll_number
        self.world.later(seconds, lambda: self.poll() if number == self.poll_number else None)

    def poll(self) -> None:
        fetch = self.mirror.next()
        if not self.world.ask():
            self.mirror.failed(fetch)
            self.next_poll(self.back_off.next())
            return
        self.back_off = BackOff(self.rng, first=2 * INTERVAL, longest=LONGEST_BACK_OFF)
        position = f"{self.world.life}-0" if self.feeds else ""
        page = PAGE if fetch.full else PAGE.__class__(str(100 - self.world.life), "", [])
        self.mirror.heard(fetch, URL, page, position)
        if here := Position.parse(self.mirror.position):
            self.feed.polled(2 * INTERVAL if self.epoch not in ("", here.epoch) else 0.0)
        if not fetch.full and self.mirror.next().full:
            assert self.mirror.anew
            self.next_poll(jittered(INTERVAL, self.rng))
            return
        self.next_poll(jittered(polling.SAFETY if self.mirror.live else INTERVAL, self.rng))
        self.open()

    def open(self) -> None:
        if not self.mirror.position or self.feed.open:
            return
        wait = self.feed.wait(URL)
        if wait == float("inf"):
            return
        if wait > 0:
            self.world.later(wait + 0.001, self.open)
            return
        position = Position.parse(self.mirror.position)
        assert position is not None
        if not self.world.ask():
            self.feed.ended(End.BROKEN)
            return
        self.feed.opened()
        self.epoch = position.epoch
        self.mirror.follow()
        self.world.streams.append(self)
        if position.epoch != str(self.world.life):
            self.mirror.restarted(Position(str(self.world.life), 0))
            self.next_poll(self.rng.uniform(0.0, INTERVAL))
        self.world.later(20.0, self.beat)

    def beat(self) -> None:
        if self.feed.open:
            self.mirror.confirmed()
            self.world.later(20.0, self.beat)

    def lost(self) -> None:
        self.mirror.unfollow()
        self.feed.ended(End.BROKEN)
        self.next_poll(self.rng.uniform(0.0, INTERVAL))

    def lease(self) -> None:
        step, wait = self.keeper.next()
        if wait > 0:
            self.world.later(wait + 0.001, self.lease)
            return
        sent = self.keeper.instance
        if not self.world.ask():
            answer = Answer.SILENCE
        elif step is Step.SIGN_IN:
            self.world.leases.add(self.number)
            answer = Answer.TAKEN
        else:
            answer = Answer.TAKEN if self.number in self.world.leases else Answer.UNKNOWN
        self.keeper.heard(step, sent, answer)
        self.lease()


def world(feeds: bool) -> tuple[World, list[Client]]:
    made = World()
    return made, [Client(made, number, feeds) for number in range(CLIENTS)]


@pytest.mark.parametrize("outage", [0.2, 3.0, 20.0, 120.0])
def test_no_second_after_a_restart_sees_twice_the_requests_of_one_without_a_feed(outage: float) -> None:
    plain, _ = world(feeds=False)
    plain.run(200)
    usual = sum(plain.asked[second] for second in range(100, 200)) / 100
    assert usual == pytest.approx(CLIENTS / INTERVAL + CLIENTS / RENEW, rel=0.1)

    fed, clients = world(feeds=True)
    fed.run(200)
    assert all(client.mirror.live for client in clients)
    assert sum(fed.asked[second] for second in range(100, 200)) / 100 < usual / 3
    fed.die()
    fed.run(200 + outage)
    fed.rise()
    back = fed.now
    fed.run(back + 2 * RENEW)
    assert len(fed.leases) == CLIENTS
    assert all(client.mirror.live for client in clients)
    assert max(fed.asked[second] for second in range(int(back), int(fed.now))) <= 2 * usual
