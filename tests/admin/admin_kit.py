"""What the tests of the admin pages share."""

from __future__ import annotations

import json
from typing import Any

from multidict import CIMultiDict

from resilient import Runtime
from resilient.admin.asked import Ask, Reply
from resilient.admin.desk import Desk
from resilient.admin.site import Site
from resilient.clock import ManualClock
from resilient.model import Instance
from resilient.settings import Settings

TOKEN = "an-admin-token-of-length"
HERE = {"Host": "127.0.0.1:9990"}


class FakeMember:
    """A service as the desk sees it."""

    def __init__(self) -> None:
        self.service = "orders"
        self.instance: Instance | None = Instance(
            service="orders", id="o-1", host="h", port=1, metadata={"version": "7"}
        )
        self.state = "UP"
        self.well = True
        self.critical: frozenset[str] = frozenset()
        self.require_registry = False
        self.said: dict[str, dict[str, Any]] = {}
        self.ended: list[tuple[bool, float]] = []
        self.joined = 0.0

    def since_joined(self) -> float:
        return self.joined

    def checks(self) -> dict[str, dict[str, Any]]:
        return self.said

    def end(self, gently: bool, grace: float) -> None:
        self.ended.append((gently, grace))


class Bench:
    """A site over a runtime with a clock in hand; ``get`` and ``post`` ask as somebody on this machine."""

    def __init__(self, environ: dict[str, str] | None = None, **options: Any) -> None:
        self.clock = ManualClock()
        self.runtime = Runtime(
            settings=Settings.load(environ or {}),
            instances={"stock": ["http://10.0.0.1:80", "http://10.0.0.2:80"]},
            clock=self.clock,
        )
        self.member = FakeMember()
        self.desk = Desk(self.runtime, self.member, clock=self.clock)
        self.site = Site(self.desk, **options)

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        path, _, query = path.partition("?")
        headers = CIMultiDict({**HERE, **more.pop("headers", {})})
        pairs = dict(part.split("=", 1) for part in query.split("&") if part)
        peer = more.pop("peer", "127.0.0.1")
        return await self.site.answer(
            Ask(method=method, path=path, query=pairs, headers=headers, peer=peer, **more)
        )

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        reply = await self.ask("GET", path, **more)
        return reply.status, read(reply)

    async def post(self, path: str, payload: object = None, **more: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        body = more.pop("body", json.dumps(payload or {}).encode())
        reply = await self.ask("POST", path, headers=headers, body=body, **more)
        return reply.status, read(reply)


def read(reply: Reply) -> Any:
    return json.loads(reply.body) if "json" in reply.headers["Content-Type"] else reply.body.decode()
