"""``GET /metrics`` and ``GET /resilient/v1/prometheus/targets``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from resilient.eureka import json

from .leases import LeaseTable
from .metrics import RegistryMetrics
from .metrics_targets import ITSELF, itself, targets

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TARGETS = "/resilient/v1/prometheus/targets"
#: The most services that may be named in a question.
MOST_NAMES = 64


class MetricsRoutes:
    """The two routes; ``guarded`` lets those through who may read; ``lists_itself`` if anybody may."""

    def __init__(
        self,
        metrics: RegistryMetrics,
        table: LeaseTable,
        guarded: Callable[[Handler], Handler],
        *,
        lists_itself: bool = True,
    ) -> None:
        self._lists_itself = lists_itself
        self._metrics = metrics
        self._table = table
        self._guarded = guarded

    def mount(self, app: web.Application) -> None:
        """Add them, and count what is asked of this app from now on."""
        app.middlewares.append(self._metrics.middleware)
        app.router.add_get("/metrics", self._guarded(self._page))
        app.router.add_get(TARGETS, self._guarded(self._targets))

    async def _page(self, request: web.Request) -> web.StreamResponse:
        body, headers = await self._metrics.answer(request.headers)
        return web.Response(body=body, headers=headers)

    async def _targets(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("service", "").lower()
        names = frozenset(filter(None, wanted.split(",", MOST_NAMES)[:MOST_NAMES])) if wanted else None
        found: list[bytes] = []
        if self._lists_itself and (names is None or ITSELF in names):
            here = itself(request.headers.get(hdrs.HOST, ""), request.scheme)
            found += [] if here is None else [json.dump(here)]
        for target in targets(self._table, names):
            if target is None:
                await asyncio.sleep(0)
            else:
                found.append(json.dump(target))
        return web.Response(
            body=b"[" + b",".join(found) + b"]",
            headers={hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"},
        )
