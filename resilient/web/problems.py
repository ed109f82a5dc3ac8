"""Refusals as small JSON, and nothing in them that a stranger sent unescaped."""

import json

from aiohttp import web

_CLASSES: dict[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    404: web.HTTPNotFound,
    408: web.HTTPRequestTimeout,
    409: web.HTTPConflict,
    414: web.HTTPRequestURITooLong,
    415: web.HTTPUnsupportedMediaType,
    417: web.HTTPExpectationFailed,
    421: web.HTTPMisdirectedRequest,
    422: web.HTTPUnprocessableEntity,
    429: web.HTTPTooManyRequests,
    431: web.HTTPRequestHeaderFieldsTooLarge,
    500: web.HTTPInternalServerError,
    501: web.HTTPNotImplemented,
    503: web.HTTPServiceUnavailable,
    504: web.HTTPGatewayTimeout,
    507: web.HTTPInsufficientStorage,
}


def problem_text(code: str, message: str) -> str:
    """The body of an error: ``{"error": {"code": ..., "message": ...}}``, plain ASCII."""
    return json.dumps({"error": {"code": code, "message": message[:512]}})


def problem(status: int, code: str, message: str, *, retry_after: float | None = None) -> web.HTTPException:
    """An exception to raise from a handler: ``status`` with a short JSON body.

    ``code`` is a word for programs, ``message`` a sentence for people; ``retry_after`` is in seconds.
    """
    headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after + 0.5)))}
    text = problem_text(code, message)
    if status == 413:
        return web.HTTPRequestEntityTooLarge(
            0, 0, text=text, content_type="application/json", headers=headers
        )
    if status == 405:
        return web.HTTPMethodNotAllowed("", (), text=text, content_type="application/json", headers=headers)
    return _CLASSES[status](text=text, content_type="application/json", headers=headers)
