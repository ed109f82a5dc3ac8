"""Words for talking to a server that others may be using too, and what the cases share."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from registry_wire import CENTRE, JSON, Answer, Wire, instance, wired
from yarl import URL

from registry_server.preservation import PreservationPolicy
from registry_server.settings import Settings

__all__ = [
    "AMAZON", "CENTRE", "DEFAULT_CLASS", "EMPTY_MAP", "JSON", "JSON_BODY", "KINDS", "LEVELS",
    "NUMBER", "PEER", "XML", "XML_BODY", "Answer", "Leap", "Server", "Wire", "alone", "connected", "instance",
    "is_bare", "level_of", "soon", "unprotected", "wired",
]  # fmt: skip

#: As marker arguments, and as the specification writes them.
LEVELS = {"M": "M", "S": "S", "plus": "+", "Q": "Q"}
KINDS = ("wire", "clock", "client")
NUMBER = re.compile(r"test_case_(\d{3})_")

XML = {"Accept": "application/xml"}
JSON_BODY = {"Content-Type": "application/json"}
XML_BODY = {"Content-Type": "application/xml"}
PEER = {"x-netflix-discovery-replication": "true"}

DEFAULT_CLASS = CENTRE["@class"]
AMAZON = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon"}
EMPTY_MAP = "java.util.Collections$EmptyMap"


def level_of(item: pytest.Item) -> tuple[str, str]:
    """A case's kind and level, from its one marker."""
    found = [mark for mark in item.iter_markers() if mark.name in KINDS]
    assert len(found) == 1, f"{item.nodeid} needs one marker of {KINDS}"
    assert found[0].args[0] in LEVELS, f"{item.nodeid}: a level is one of {', '.join(LEVELS)}"
    return found[0].name, found[0].args[0]


class Leap:
    """The machine's clock, but for the time it skips."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def time(self) -> float:
        return time.time() + self.skipped

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped


class Server(Wire):
    """A server at a URL. Names are our own, so that a case neither meets nor leaves anybody there."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        whole = URL(url)
        self.base = str(whole.origin())
        self.prefix = whole.raw_path.rstrip("/") + "/"
        #: The context in which both styles of paths begin.
        self.context = self.prefix.removesuffix("v2/")
        self.session = session
        self.token = secrets.token_hex(4)
        self.app = f"CONF-{self.token.upper()}"
        self._seen: set[tuple[str, str]] = set()

    def id(self, name: str = "i1") -> str:
        """An id that only this case uses."""
        return f"{name}-{self.token}"

    def path(self, name: str = "i1", tail: str = "", app: str | None = None) -> str:
        """``apps/APP/ID`` and whatever follows."""
        return f"apps/{app or self.app}/{quote(self.id(name), safe='')}{tail}"

    def tree(self, name: str = "i1", **changes: Any) -> dict[str, Any]:
        """An instance of this case's application; a None takes a member out."""
        own = {"app": self.app, "instanceId": self.id(name), "vipAddress": self.id("vip")}
        return instance(**{**own, "secureVipAddress": self.id("svip"), **changes})

    async def ask(self, method: str, path: str, **kwargs: Any) -> Answer:
        if method == "POST":
            self._note(kwargs.get("json"))
        return await super().ask(method, path, **kwargs)

    async def register(self, name: str = "i1", headers: dict[str, str] | None = None, **changes: Any) -> None:
        answer = await self.post(self.tree(name, **changes), headers=headers or {})
        assert (answer.status, answer.body) == (204, b"")

    async def raw(self, body: bytes | str, headers: dict[str, str], app: str | None = None) -> Answer:
        """A registration as bytes."""
        return await self.ask("POST", f"apps/{app or self.app}", data=body, headers=headers)

    async def batch(self, *items: dict[str, Any], headers: dict[str, str] | None = None) -> list[Any]:
        """What a peer would send; the answers to its items."""
        body = {"replicationList": list(items)}
        answer = await self.ask(
            "POST", "peerreplication/batch/", json=body, headers={**JSON, **(headers or {})}
        )
        assert answer.status == 200
        found: list[Any] = answer.json()["responseList"]
        return found

    async def read(self, name: str = "i1") -> dict[str, Any]:
        """One instance, as JSON."""
        return await self.one(self.path(name))

    async def mine(self, path: str = "apps") -> list[dict[str, Any]]:
        """This case's instances in a list, in the order they have there."""
        apps = await self.apps(path)
        return [one for app in apps["application"] if app["name"] == self.app for one in app["instance"]]

    def _note(self, sent: Any) -> None:
        """Remember whoever is registered, to take it out again."""
        if not isinstance(sent, dict):
            return
        items = sent.get("replicationList")
        trees = (
            [one.get("instanceInfo") for one in items] if isinstance(items, list) else [sent.get("instance")]
        )
        for tree in trees:
            if isinstance(tree, dict):
                centre = tree.get("dataCenterInfo")
                metadata = centre.get("metadata") if isinstance(centre, dict) else None
                amazon = metadata.get("instance-id") if isinstance(metadata, dict) else None
                id = tree.get("instanceId") or amazon or tree.get("hostName")
                if id and tree.get("app"):
                    self._seen.add((str(tree["app"]).upper(), str(id)))

    def knows(self, app: str, id: str) -> None:
        """Take this one out at the end, too; for registrations that were sent as bytes."""
        self._seen.add((app, id))

    async def clean(self) -> None:
        """Take out everybody who may still be there."""
        for app, id in sorted(self._seen):
            await self.delete(f"apps/{quote(app, safe='')}/{quote(id, safe='')}")


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Server]:
    """A server at a URL; user and password in it become Basic credentials."""
    whole = URL(url)
    auth = aiohttp.BasicAuth(whole.user or "", whole.password or "") if whole.user or whole.password else None
    async with aiohttp.ClientSession(
        auth=auth, skip_auto_headers=["Accept", "Accept-Encoding"], auto_decompress=False
    ) as session:
        server = Server(url, session)
        try:
            yield server
        finally:
            await server.clean()


def is_bare(answer: Answer, profile: str) -> bool:
    """Whether an error has no body. Spring's server puts a page of its own there, without any instance."""
    return answer.empty or (profile == "ref" and b"instanceId" not in answer.body)


def unprotected(**more: Any) -> Settings:
    """Settings of a registry that evicts whoever has expired."""
    return alone(preservation=PreservationPolicy(enabled=False), **more)


def alone(**more: Any) -> Settings:
    """Settings of a private registry."""
    return Settings(**{"port": 0, "ui": False, **more})


async def soon() -> None:
    """Let the server's clock move on: stamps are in milliseconds."""
    await asyncio.sleep(0.005)
