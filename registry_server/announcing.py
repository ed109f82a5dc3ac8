"""Tells the local network where the registry is, as long as it runs.

Only of what is reached from there: a registry bound to loopback says nothing. A network that comes up later,
or gives this machine another address, is noticed within :data:`LOOK` seconds. Nothing here can keep the
registry from serving: what fails is said once in the log.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from resilient.background import off_loop
from resilient.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from resilient.discovery.mdns import Announcement

_log = logging.getLogger("resilient.registry")

#: Seconds between two looks at this machine's addresses.
LOOK = 30.0
#: Seconds a goodbye may take; whoever looks notices without it, too.
GOODBYE = 2.0


class Announcer:
    """Announces the registry that listens on ``host`` and ``port``; signed if there is a ``token``.

    ``interfaces`` are addresses of network interfaces; None: all.
    """

    def __init__(
        self,
        *,
        zone: str = "",
        token: str = "",
        interfaces: Iterable[str] | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._zone = zone
        self._token = token
        self._interfaces = None if interfaces is None else tuple(interfaces)
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._said: Announcement | None = None
        self._addresses: list[str] = []
        self._warned = False

    @property
    def announced(self) -> bool:
        """Whether the network was told."""
        return self._said is not None

    def start(self, host: str, port: int) -> None:
        """Begin, with the address that was bound; never waits."""
        self._task = asyncio.get_running_loop().create_task(
            self._run(host, port), name="registry announcement"
        )

    async def stop(self) -> None:
        """Say goodbye. Harmless when nothing was said."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._goodbye()

    async def _run(self, host: str, port: int) -> None:
        while True:
            try:
                await self._look(host, port)
            except (OSError, ImportError, RuntimeError) as error:
                if not self._warned:
                    self._warned = True
                    _log.warning("this registry cannot be announced on the local network: %r", error)
            await asyncio.sleep(LOOK)

    async def _look(self, host: str, port: int) -> None:
        # Loading zeroconf takes a while, and nobody's heartbeat should wait for it.
        mdns = await off_loop(importlib.import_module, "resilient.discovery.mdns")
        addresses = await off_loop(mdns.own_addresses, host)
        if addresses == self._addresses:
            return
        await self._goodbye()
        self._addresses = []
        authority = f"[{host}]" if ":" in host else host
        self._said = await mdns.announce(
            f"http://{authority}:{port}/eureka/",
            self._zone or "default",
            token=self._token,
            version=_version(),
            interfaces=self._interfaces,
            clock=self._clock,
        )
        self._addresses = addresses

    async def _goodbye(self) -> None:
        said, self._said = self._said, None
        if said is None:
            return
        try:
            async with asyncio.timeout(GOODBYE):
                await said.close()
        except (OSError, RuntimeError, TimeoutError) as error:
            _log.debug("no goodbye: %r", error)


def _version() -> str:
    try:
        return version("resilient-sidecar")
    except PackageNotFoundError:  # run from a checkout
        return ""
