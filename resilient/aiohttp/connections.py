"""What our own aiohttp sessions know: which connections are new, where a request goes, where from."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp import ClientRequest, ClientResponse, hdrs
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from ..errors import InsecureRedirect

#: Under this name a request remembers that its connection was made for it.
NEW = "_resilient_new_connection"


def key_for(url: URL) -> ConnectionKey | None:
    """Under what aiohttp keeps connections to a plain http instance; ``None`` for one that speaks TLS."""
    if url.scheme != "http":
        return None
    return ConnectionKey(url.raw_host or "", url.port, False, True, None, None, None, None)


@lru_cache(10_000)
def parts(base: str) -> tuple[str, str, str, ConnectionKey | None]:
    """An instance's scheme, authority, Host header, and its key if `key_for` has one."""
    url = URL(base)
    return url.scheme, url.raw_authority, url.host_port_subcomponent or "", key_for(url)


class Request(ClientRequest):
    """A request that can go to an instance while its URL still names the service.

    On a connection that is there already, the URL says no more than the path, which is the same; making
    another one for each request is a good part of what balancing costs.
    """

    aimed: ConnectionKey | None = None

    def plain(self) -> bool:
        """Whether nothing about its connection is out of the ordinary."""
        return self.proxy is None and self.ssl is True and self.server_hostname is None

    @property
    def connection_key(self) -> ConnectionKey:
        return self.aimed or super().connection_key


class Connector(aiohttp.TCPConnector):
    """Knows which requests went out on a new connection."""

    async def _create_connection(self, req: ClientRequest, *args: Any, **kwargs: Any) -> Any:
        aimed = req.aimed if type(req) is Request else None
        if aimed is None:
            made = await super()._create_connection(req, *args, **kwargs)
        else:
            logical = req.url
            req.url = URL.build(scheme="http", host=aimed.host, port=aimed.port)
            try:
                made = await super()._create_connection(req, *args, **kwargs)
            finally:
                req.url = logical
        req.__dict__[NEW] = True
        return made


class _Hops:
    """Follows redirects from https, for aiohttp itself would go on in plain http.

    aiohttp makes a new request for each hop. What those of one call have in common is their timer.
    """

    def __init__(self) -> None:
        self.seen = False
        self._last: ContextVar[object] = ContextVar("resilient_secure_hop", default=None)

    def note(self, request: ClientRequest, response: ClientResponse) -> None:
        """An answer that may be a redirect."""
        if response.url.scheme == "https" and hdrs.LOCATION in response.headers:
            self.seen = True
            self._last.set(request._timer)

    def check(self, request: ClientRequest) -> None:
        """Raise InsecureRedirect if this plain request is the next hop of one that was answered by https."""
        if self._last.get() is request._timer:
            raise InsecureRedirect(str(request.url))


hops = _Hops()
