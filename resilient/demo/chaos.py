"""Breaks things in turn and tells in words what happened."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

import aiohttp

from .children import Child, Children
from .watch import Watch

Say = Callable[[str], None]


class Chaos:
    """The script: a service fails, a copy is killed, one dawdles, one freezes; each is healed again."""

    def __init__(
        self,
        children: Children,
        watch: Watch,
        session: aiohttp.ClientSession,
        say: Say,
        restart: Callable[[str], Awaitable[Child]],
    ) -> None:
        self._children = children
        self._watch = watch
        self._session = session
        self._say = say
        self._restart = restart

    async def run(self) -> None:
        """One scene after the other, for ever."""
        while True:
            for scene in (self._all_fail, self._kill, self._slow, self._freeze):
                await scene()
                await asyncio.sleep(3)

    async def _all_fail(self) -> None:
        self._say("every copy of [b]reviews[/b] now answers 500")
        self._watch.forget("reviews")
        await self._mood("reviews", errors=1.0)
        opened = await self._watch.until(lambda: self._watch.turned("reviews", "open"), 12)
        self._say(
            "circuit [b]reviews[/b] opened: catalog answers with its default, and reviews is left in peace"
            if opened
            else "no circuit opened, which is a surprise"
        )
        await self._mood("reviews", errors=0.0)
        self._say("reviews is well again")
        closed = await self._watch.until(lambda: self._watch.turned("reviews", "closed"), 15)
        if closed:
            self._say("a trial call went well: circuit [b]reviews[/b] is closed")

    async def _kill(self) -> None:
        victim = random.choice(self._children.of("prices"))
        victim.signal(signal.SIGKILL)
        self._say(f"a copy of [b]prices[/b] was killed (pid {victim.pid}): callers go to the other one")
        await asyncio.sleep(3)
        await self._restart("prices")
        self._say("a new copy of prices joined on another port; callers found it by themselves")

    async def _slow(self) -> None:
        first = self._watch.urls("orders")[:1]
        if first:
            self._say("one copy of [b]orders[/b] answers 300 ms late: balancers turn to the others")
            await self._tell(first[0], delay=0.3)
            await asyncio.sleep(5)
            await self._tell(first[0], delay=0.0)

    async def _freeze(self) -> None:
        victim = random.choice(self._children.of("catalog"))
        victim.signal(signal.SIGSTOP)
        self._say(f"a copy of [b]catalog[/b] is frozen (SIGSTOP, pid {victim.pid}): tries to it time out")
        await asyncio.sleep(5)
        victim.signal(signal.SIGCONT)
        self._say("it goes on as if nothing had happened")

    async def _mood(self, service: str, **wish: float) -> None:
        await asyncio.gather(*(self._tell(url, **wish) for url in self._watch.urls(service)))

    async def _tell(self, url: str, **wish: float) -> None:
        try:
            limit = aiohttp.ClientTimeout(total=2)
            async with self._session.post(f"{url}/demo/mood", json=wish, timeout=limit):
                pass
        except (aiohttp.ClientError, TimeoutError):
            pass
