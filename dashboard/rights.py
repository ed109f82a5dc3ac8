"""Who may act from a server's own pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from resilient.web.trust import Trust, is_local_call

_WIDE = (
    "this registry can be reached from other machines and has no token, so nobody may act on it: "
    "start it with --token"
)
_LOCKED = "this takes the registry's token: unlock the page with it"
_ELSEWHERE = "without a token, only pages opened on this machine may act, and not through a proxy"


def roles(trust: Trust, peer: str | None, headers: Mapping[str, str], *, bound_wide: bool) -> list[str]:
    """What a page may be told it can do, with what the request for its stream brought along."""
    may = page_may_act(trust, peer, headers, bound_wide=bound_wide)[0] == 0
    return ["reader", "operator"] if may else ["reader"]


def page_may_act(
    trust: Trust, peer: str | None, headers: Mapping[str, str], *, bound_wide: bool
) -> tuple[int, str]:
    """0 for yes, else the status to answer and the reason. The caller has made sure of the ``Origin``."""
    given = headers.get("Authorization", "")
    if trust.needs_token:
        caller = trust.caller(peer, headers)
        if caller.retry_after:
            return 429, "too many wrong tokens; wait a minute"
        # A browser sends Basic by itself, also for pages of others: only what our page's script says counts.
        if caller.has_token and given[:7].lower() == "bearer ":
            return 0, ""
        return (403, _LOCKED) if caller.has_read_token and not caller.has_token else (401, _LOCKED)
    if bound_wide:
        return 403, _WIDE
    if from_own_page(peer, headers):
        return 0, ""
    return 403, _ELSEWHERE


def from_own_page(peer: str | None, headers: Mapping[str, str]) -> bool:
    """Whether this comes from this machine, also from a page of ours.

    Loopback as a right excludes every ``Origin``, for any page in the world can make a browser on this
    machine send requests here. There is one exception, and it is this: an ``Origin`` that equals our own
    host, on loopback. A browser sets that header and no page can change it; and a page with that origin was
    served by us. (One whose name was pointed here has that name in ``Host``, which is no loopback name.)
    """
    host = headers.get("Host", "").lower()
    origin = headers.get("Origin")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        return False
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    others = {name: value for name, value in headers.items() if name.lower() != "origin"}
    others["Host"] = headers.get("Host", "")
    return is_local_call(peer or "", others)
