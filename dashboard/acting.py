"""What people do from a page: only from a page of ours, only with a reason; refusals are in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import hdrs, web

from resilient.errors import WireError
from resilient.web.body import read_body
from resilient.web.problems import problem

from .source import Actor, Refused

#: A header that a foreign page cannot send without being asked first, which nobody here answers.
CSRF = "Resilient-Action"
WHAT = ("out-of-service", "back", "override", "deregister", "circuit")
_MOST_BODY = 64 * 1024

#: Who may act: 0, or the status to refuse with, and the sentence that goes with it.
MayAct = Callable[[web.Request], tuple[int, str]]


def own_origin(request: web.Request) -> bool:
    """Whether the request comes from a page of this very server, as the browser tells."""
    origin = request.headers.get(hdrs.ORIGIN, "")
    host = request.headers.get(hdrs.HOST, "")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return bool(host) and site == "same-origin" and origin.lower() in _origins(host.lower())


def _origins(host: str) -> tuple[str, str]:
    return f"http://{host}", f"https://{host}"


async def act(request: web.Request, actor: Actor | None, may: MayAct) -> web.Response:
    """Begin an action: 202 with its id. The outcome comes on the stream."""
    what = request.match_info["what"]
    if what not in WHAT:
        raise problem(404, "unknown-action", f"one of {', '.join(WHAT)} was expected")
    if request.content_type != "application/json":
        raise problem(415, "unsupported-type", "Content-Type must be application/json")
    if request.headers.get(CSRF) != "1" or not own_origin(request):
        raise problem(403, "foreign-page", f"actions come from this server's own page, with {CSRF}: 1")
    status, sentence = may(request)
    if status:
        raise problem(status, "not-allowed", sentence)
    if actor is None:
        raise problem(501, "no-actions", "this registry takes no actions")
    body = _object(await read_body(request, _MOST_BODY))
    try:
        id = await actor.act(what, body, who(request, body), request.headers.get(hdrs.AUTHORIZATION, ""))
    except Refused as refused:
        raise problem(refused.status, refused.code, refused.message) from None
    return web.json_response({"id": id}, status=202, headers={hdrs.CACHE_CONTROL: "no-store"})


def who(request: web.Request, body: Mapping[str, Any]) -> str:
    """What is written down as the one who did it."""
    by = body.get("by")
    if isinstance(by, str) and by.strip() and by.isprintable():
        return by.strip()[:64]
    return f"operator at {request.remote or 'an unknown address'}"


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WireError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise WireError("the body must be an object")
    reason = found.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise WireError("reason: say why, in a few words; it stands in the list of changes")
    if len(reason) > 300 or not reason.isprintable():
        raise WireError("reason: at most 300 printable characters in one line are taken")
    seconds = found.get("for")
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 2_592_000
    ):
        raise WireError("for: seconds above 0, at most 30 days, were expected, or null")
    subjects = found.get("subjects")
    if (
        not isinstance(subjects, list)
        or not 0 < len(subjects) <= 500
        or not all(isinstance(one, str) and 0 < len(one) <= 1024 for one in subjects)
    ):
        raise WireError("subjects: a list of 1 to 500 texts was expected")
    return found
