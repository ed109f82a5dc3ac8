"""A real registry on a clock that is moved by hand: seeded services, and callers with real circuits.

What its pages show can be compared with what its JSON says, figure by figure: nothing moves meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress

import orjson
from aiohttp import ClientSession
from ui_kit import Events

from registry_server.app import running
from registry_server.board_push import parse
from registry_server.settings import Settings
from resilient.circuits.book import CircuitBook
from resilient.circuits.commands import apply
from resilient.circuits.guard import Guard
from resilient.circuits.policy import CircuitPolicy
from resilient.clock import ManualClock
from resilient.discovery.pushing import Pusher
from resilient.errors import CallRejected, CallTimeout
from resilient.model import Instance, Status

ZONES = ("eu-1a", "eu-1b", "eu-1c")


class Wrong(ValueError):
    """An answer that speaks against who asked."""


class Caller:
    """One process of a service. ``commands``: circuits by name, with their target's name before the dot."""

    def __init__(self, estate, service, instance, commands, **policy):
        self.estate, self.service, self.instance = estate, service, instance
        self.book = CircuitBook(clock=estate.clock)
        options = CircuitPolicy(**{"min_calls": 10, "timeout": 1.0, "exclude": (Wrong,), **policy})
        self.circuits = {}
        for name in commands:
            guard = Guard(name, options, lambda guard: (self.book.of(guard), True))
            circuit = self.circuits[name] = self.book.of(guard)
            circuit.target = name.partition(".")[0]
        self.balanced = None
        self.pusher = Pusher(self.book, estate.clock, lambda: self.balanced or {})
        self.said = []

    def call(self, name, n=1, *, fail=0, slow=0, ignored=0, seconds=0.02):
        """``n`` calls, of which some fail, time out or are no failure; what is refused is only counted."""
        circuit = self.circuits[name]
        errors = (
            [ValueError("no stock")] * fail
            + [CallTimeout(name, 1.0)] * slow
            + [Wrong("no such id")] * ignored
        )
        for error in [None] * (n - len(errors)) + errors:
            try:
                attempt = circuit.admit(self.call)
            except CallRejected:
                continue
            late = isinstance(error, CallTimeout)
            attempt.began = circuit.now() - (attempt.deadline if late else seconds)
            if error is None:
                circuit.ended(attempt, 1)
            else:
                circuit.failed(attempt, error)

    def push(self, interval=5.0):
        body = self.pusher.push(self.service, self.instance, "w", interval)
        push = self.estate.registry.board.put(parse(orjson.dumps(body)))
        for circuit in push.circuits.values():
            if circuit.command:
                self.estate.registry.actions.confirm(circuit.command, self.service, self.instance, "w")

    @asynccontextmanager
    async def listening(self):
        """It follows the registry's feed, does what it is told, and says so."""
        url = f"{self.estate.base}/resilient/v1/feed?snapshot=0"
        async with self.estate.session.get(f"{url}&instance={self.service}/{self.instance}&worker=w") as feed:
            events = Events(feed)
            await events.next("hello")
            task = asyncio.create_task(self._obey(events))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _obey(self, events):
        while True:
            _, command = await events.next("command", within=600)
            self.said.append((command["action"], apply(self.book, command)))
            self.push()


class Estate:
    """The registry, its clock and its callers. ``url(view)`` is a page's address."""

    def __init__(self, registry, clock, session, seed=11):
        self.registry, self.clock, self.session = registry, clock, session
        self.random = random.Random(seed)
        self.base = f"http://127.0.0.1:{registry.port}"
        self.hub = next(
            one.__self__ for one in registry.source._listeners if type(one.__self__).__name__ == "Hub"
        )
        self.callers = []
        self.beating = {}  # (service, id): seconds between two heartbeats, and the second of them
        self.traffic = []  # what every second brings

    def url(self, view=""):
        return f"{self.base}/ui/{view}"

    # --- the world goes on

    async def register(self, service, id, *, beats=True, **more):
        n = len(self.registry.registry.table)
        given = {"host": f"10.0.{n // 200}.{n % 200 + 1}", "port": 8000 + n % 90, "zone": "eu-1a", **more}
        given.setdefault("dirty_at", round(self.clock.time() * 1000))
        one = Instance(service=service, id=id, **given)
        await self.registry.registry.register(one)
        if beats:
            self.beating[service, id] = (round(one.renew_every), round(self.clock.monotonic()))
        return one

    def silence(self, service, *ids):
        for id in ids:
            del self.beating[service, id]

    async def run(self, seconds):
        """So many seconds pass: heartbeats, calls, pushes, sweeps."""
        registry = self.registry.registry
        for _ in range(seconds):
            self.clock.advance(1)
            now = round(self.clock.monotonic())
            for (service, id), (every, phase) in self.beating.items():
                if (now - phase) % every == 0:
                    registry.renew(service, id)
            for happen in self.traffic:
                happen()
            for caller in self.callers:
                caller.push(1.0)
            await registry.sweep()
            await self.registry.actor.tick()
            await self.registry.source.ticked()

    async def tell(self):
        """All that look are told how it is now, without waiting for the second to end."""
        await self.hub.look()
        self.hub.flush()
        self.hub.beat()

    def caller(self, service, instance, commands, **policy):
        self.callers.append(Caller(self, service, instance, commands, **policy))
        return self.callers[-1]

    async def act(self, what, *subjects, **more):
        body = {"subjects": list(subjects), "reason": "new disk", **more}
        await self.registry.actor.act(what, body, "Ann")
        while self.registry.actor._tasks:
            await asyncio.sleep(0)

    # --- and is asked

    async def json(self, path):
        async with self.session.get(f"{self.base}/{path}") as answer:
            assert answer.status == 200, (path, answer.status)
            return await answer.json()


@asynccontextmanager
async def estate(seed=11, **options):
    """An empty one."""
    clock = ManualClock()
    async with running(Settings(port=0, **options), clock=clock) as registry:
        registry._sweeper.cancel()  # the hand that moves the clock sweeps, too
        async with ClientSession() as session:
            yield Estate(registry, clock, session, seed)


SERVICES = {
    "storefront": 4, "orders": 9, "payments": 12, "stock": 6, "ledger": 5, "notify": 3, "search": 7, "tax": 2
}  # fmt: skip


@asynccontextmanager
async def seeded(seed=11):
    """Some of everything: instances in every state and age, circuits in every state, a quarter of an hour."""
    async with estate(seed) as one:
        await _services(one)
        _circuits(one)
        await one.run(40)
        await _trouble(one)
        await one.run(31)
        await _turns(one)
        yield one


async def _services(one):
    rng = one.random
    for name, n in SERVICES.items():
        version = f"{rng.randrange(1, 9)}.{rng.randrange(20)}.{rng.randrange(9)}"
        for number in range(n):
            older = name in ("orders", "search") and number % 4 == 3
            await one.register(
                name,
                f"{name}-{rng.randrange(16**5):05x}",
                zone=ZONES[number % 3] if n > 2 else "eu-1c",
                status=Status.STARTING if (name, number) == ("search", 6) else Status.UP,
                renew_every=15.0 if name == "ledger" else 30.0,
                expire_after=90.0,
                metadata={"version": "0.9.1" if older else version, "owner": f"team {name[:2]}"}
                if name != "tax"
                else {},
            )
            if rng.random() < 0.5:
                await one.run(1)


def _circuits(one):
    rng = one.random
    plan = {
        ("storefront", "storefront-a"): ["orders.list", "search.find", "stock.count"],
        ("storefront", "storefront-b"): ["orders.list", "search.find", "stock.count"],
        ("orders", "orders-a"): ["payments.authorise", "stock.reserve", "notify.send", "tax.rate"],
        ("orders", "orders-b"): ["payments.authorise", "stock.reserve", "notify.send", "tax.rate"],
        ("orders", "orders-c"): ["payments.authorise", "stock.reserve", "notify.send", "tax.rate"],
        ("payments", "payments-a"): ["ledger.post", "notify.send"],
    }
    for (service, id), names in plan.items():
        caller = one.caller(service, id, names, reset_timeout=45.0)
        for name in names:
            rate, base = rng.randrange(1, 9), rng.uniform(0.004, 0.2)

            def happen(caller=caller, name=name, rate=rate, base=base):
                caller.call(name, rate, seconds=base * rng.lognormvariate(0, 0.4))

            one.traffic.append(happen)
        caller.balanced = {
            "services": {
                "payments": {
                    "instances": [
                        {
                            "id": lease.record.instance.id,
                            "zone": lease.record.instance.zone,
                            "state": "ejected" if place == 1 else "healthy",
                            "until": one.clock.time() + 400 if place == 1 else None,
                            "share": round(1 / 12, 4),
                            "in_flight": place % 4,
                            "latency_ms": 20 + 7 * place,
                            "success": 0.31 if place == 1 else 0.997,
                            "row": 9 if place == 1 else 0,
                        }
                        for place, lease in enumerate(one.registry.registry.table.leases("payments").values())
                    ]
                }
            }
        }


def named(one, service):
    return list(one.registry.registry.table.leases(service))


async def _trouble(one):
    table = one.registry.registry.table
    one.silence("payments", *named(one, "payments")[:2])
    one.silence("stock", named(one, "stock")[0])
    for id in named(one, "payments")[4:7]:
        await one.registry.registry.register(table.get("payments", id).record.instance.become(Status.DOWN))
    await one.act("out-of-service", f"notify/{named(one, 'notify')[0]}", **{"for": 3600})
    await one.act("override", f"orders/{named(one, 'orders')[2]}", status="DOWN")
    await one.registry.registry.cancel("storefront", named(one, "storefront")[-1])
    one.silence("storefront", next(id for name, id in list(one.beating) if not table.get(name, id)))


async def _turns(one):
    """Circuits in every state; two of three hosts of one are open, and the third still sends some through."""
    front_a, front_b, orders_a, orders_b, orders_c, payments = one.callers
    by = {"reason": "bank holiday", "by": "Ann"}
    orders_c.circuits["notify.send"].open(1800, **by)
    orders_b.circuits["tax.rate"].close(900, **by)
    payments.circuits["ledger.post"].configure(timeout=0.4)
    for front in (front_a, front_b):
        front.circuits["search.find"].configure(reset_timeout=17.5, reset_jitter=0)
        front.call("search.find", 60, fail=50)
    await one.run(12)
    payments.call("ledger.post", 60, fail=40, slow=15, seconds=0.3)
    for caller in (orders_a, orders_b):
        caller.call("payments.authorise", 90, fail=76, slow=9, ignored=3, seconds=0.4)
    await one.run(5)
    orders_c.call("payments.authorise", 40, fail=6, slow=2, ignored=2)
    front_b.circuits["stock.count"].configure(max_concurrent=2)
    one.traffic.clear()
    await one.run(1)
    # Trials are under way, and two calls that leave no room for a third.
    for front in (front_a, front_b):
        front.circuits["search.find"].admit(print)
    for _ in range(2):
        front_b.circuits["stock.count"].admit(print)
    front_b.call("stock.count", 3)
    for caller in one.callers:
        caller.push(1.0)
