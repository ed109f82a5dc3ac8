"""The page's store takes what the stream sends in whichever order, and has in the end what the server has."""

from __future__ import annotations

import random

import pytest
import pytest_asyncio
from fake_estate import Estate
from fake_server import FakeServer
from ui_browser import FULL, chromium, needs_chromium, opened

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]
SEEDS = range(60 if FULL else 15)
APPLY = """async ([base, runs]) => {
  const {Store} = await import(new URL('@dev/app/store.js', base));
  return runs.map(events => {
    const store = new Store();
    for (const [event, data] of events) store.apply(event, data);
    return {
      services: [...store.services.values()].map(one => [one.n, one.up, one.oldest, one.rate]).sort(),
      circuits: [...store.circuits.values()].map(one => [one.k, one.id, one.state, one.rate]).sort((a, b) => a[0] - b[0]),
      changes: store.changes.map(one => one.id),
      notices: [...store.notices.keys()].sort(),
      series: [...store.series.keys()].sort((a, b) => a - b),
      rates: [...store.rates.keys()].sort(),
    };
  });
}"""  # noqa: E501


class Server:
    """What a server has, and the events by which it tells. Within one look they may come in any order, but
    the tick is the last: its numbers stand in the order of the last full list."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.services, self.circuits, self.order = {}, {}, []
        self.live, self.ticked, self.changes, self.notices = {}, {}, [], set()
        self.events = []
        self.snapshot()
        for look in range(self.random.randrange(3, 30)):
            self.look(look)

    def snapshot(self):
        """As to somebody who comes anew, or was away for too long."""
        self.order = list(self.services)
        self.events.append(("services", {"full": True, "rows": list(self.services.values()), "gone": []}))
        self.events.append(("circuits", {"full": True, "rows": list(self.circuits.values()), "gone": []}))
        self.events += [("change", {"id": id, "at": at}) for id, at in reversed(self.changes[:5])]

    def look(self, number):
        r, told = self.random, []
        told += self._services(r)
        told += self._circuits(r)
        if r.random() < 0.5:
            one = (f"e-{number}", number)
            self.changes.insert(0, one)
            told.append(("change", {"id": one[0], "at": one[1]}))
        if r.random() < 0.3:
            on = r.random() < 0.5
            (self.notices.add if on else self.notices.discard)("protection")
            told.append(("notice", {"id": "protection", "on": on}))
        r.shuffle(told)
        self.events += told
        if r.random() < 0.2:
            self.events.append(("state", {"k": r.randrange(12), "at": 1, "from": "C", "to": "O"}))
        if r.random() < 0.2:
            self.snapshot()
        self._tick(r)

    def _services(self, r):
        gone = [name for name in self.services if r.random() < 0.1]
        for name in gone:
            del self.services[name]
        changed = []
        for n in r.sample(range(12), 3):
            name = f"s{n:02}"
            fresh = name not in self.services
            self.services[name] = {"n": name, "up": r.randrange(9), "total": 9, "zones": {}, "ver": {}}
            changed.append((fresh, name))
        came = any(fresh for fresh, _ in changed)
        # With very many services the next full list may be some seconds off.
        if came or (gone and r.random() < 0.5):
            self.order = list(self.services)
            rows = list(self.services.values())
            return [("services", {"full": True, "rows": rows, "gone": []})]
        rows = [self.services[name] for _, name in changed]
        return [("services", {"full": False, "rows": rows, "gone": gone})]

    def _circuits(self, r):
        gone = [key for key in self.circuits if r.random() < 0.1]
        for key in gone:
            del self.circuits[key]
        rows = []
        for key in r.sample(range(12), 2):
            if key not in gone:
                self.circuits[key] = {"k": key, "id": f"a/b:{key}", "from": "a", "to": "b", "cmd": str(key)}
                rows.append(self.circuits[key])
        return [("circuits", {"full": False, "rows": rows, "gone": gone})] if gone or rows else []

    def _tick(self, r):
        self.live = {name: [r.randrange(90), r.randrange(500)] for name in self.services}
        self.ticked = {key: [r.choice("COH"), r.randrange(90)] for key in self.circuits}
        c = [
            [key, state, 1, rate, 0.5, [1, 0, 0, 0, 0, 0], None, 0]
            for key, (state, rate) in self.ticked.items()
        ]
        r.shuffle(c)
        self.events.append(("tick", {"now": 1, "s": [self.live.get(name) for name in self.order], "c": c}))

    def known(self):
        return {
            "services": sorted([name, row["up"], *self.live[name]] for name, row in self.services.items()),
            "circuits": [[key, row["id"], *self.ticked[key]] for key, row in sorted(self.circuits.items())],
            "changes": [id for id, _ in self.changes],
            "notices": sorted(self.notices),
            "series": sorted(self.circuits),
            "rates": sorted(self.services),
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page():
    server = FakeServer(Estate(services=3, circuits=4), quiet=True)
    async with server, chromium() as browser, opened(browser, server, "api", wait=False) as one:
        yield one, server.url()


async def test_whatever_the_order_the_page_knows_what_the_server_knows(page):
    one, base = page
    servers = [Server(seed) for seed in SEEDS]
    found = await one.evaluate(APPLY, [base, [server.events for server in servers]])
    for seed, server, known in zip(SEEDS, servers, found, strict=True):
        assert known == server.known(), f"seed {seed}"
