"""What goes wrong with aiohttp, and what of a request can be sent again."""

from __future__ import annotations

import aiohttp
from aiohttp import ClientRequest
from aiohttp.http_exceptions import HttpProcessingError

from ..balancing.dialect import Dialect, Verdict
from ..balancing.picks import Tries


class _Aiohttp(Dialect):
    __slots__ = ()

    def judge(self, error: BaseException) -> Verdict:
        if isinstance(error, aiohttp.ClientResponseError):
            # Raised for a status, which is judged as such; or for an answer that was not HTTP.
            return Verdict.FAILED if isinstance(error.__cause__, HttpProcessingError) else Verdict.NEUTRAL
        return super().judge(error)


#: How aiohttp spells trouble.
AIOHTTP = _Aiohttp(
    never_sent=(aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError),
    timeouts=(TimeoutError,),
    broken=(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError),
)

#: How a connection says that the other end has closed it; aiohttp repeats such a request once by itself.
DISCONNECTED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


def replayable(request: ClientRequest) -> bool:
    """Whether the body can be sent twice. A file that cannot be rewound is found out later: `consumed`."""
    body = request.body
    return not body or not isinstance(body, aiohttp.AsyncIterablePayload)


def understood(error: BaseException, request: ClientRequest, tries: Tries) -> BaseException:
    """What an error of aiohttp's means, where that is not what it says."""
    if isinstance(error, aiohttp.ClientResponseError):
        no_status(error)
    if consumed(request):
        tries.harmless = False  # what was sent of a stream cannot be sent a second time
    elif (
        not was_sent(request)
        and isinstance(error, TimeoutError)
        and not isinstance(error, aiohttp.ClientError)
    ):
        return aiohttp.ConnectionTimeoutError(f"Connection timeout to host {request.url}")
    return error


def no_status(error: aiohttp.ClientResponseError) -> None:
    """Forget the status of an answer that was not HTTP."""
    if isinstance(error.__cause__, HttpProcessingError):
        error.status = 0  # the parser's own word for 'this is not HTTP', not the other end's: 400


def was_sent(request: ClientRequest) -> bool:
    """Whether a connection was there, so that something may have arrived."""
    return getattr(request, "response", None) is not None


def consumed(request: ClientRequest) -> bool:
    """Whether the body was sent and cannot be sent once more."""
    return getattr(request.body, "consumed", False)
