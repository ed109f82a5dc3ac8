"""Host names looked up on daemon threads."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from ..background import off_loop


class Resolver(AbstractResolver):
    """An aiohttp resolver whose slow answers hold up nobody, not even the end of the process.

    One search per name is under way at a time, however many ask.
    """

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int, int], asyncio.Future[list[Any]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        key = (host, port, int(family))
        search = self._under_way.get(key)
        if search is None:
            search = asyncio.ensure_future(
                off_loop(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
            )
            self._under_way[key] = search
            search.add_done_callback(lambda done: self._ended(key, done))
        found = await asyncio.shield(search)
        return [
            ResolveResult(
                hostname=host,
                host=address[0],
                port=address[1],
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        searches = list(self._under_way.values())
        for search in searches:
            search.cancel()
        await asyncio.gather(*searches, return_exceptions=True)

    def _ended(self, key: tuple[str, int, int], done: asyncio.Future[list[Any]]) -> None:
        self._under_way.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, even if everybody who waited has left
