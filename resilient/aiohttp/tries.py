"""One try of a coroutine and its time; and a request's first try, which is nearly always the only one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar, Self

import aiohttp
from aiohttp import ClientRequest, ClientResponse

from ..balancing.node import Node
from ..balancing.picks import DONE as _DONE
from ..balancing.picks import ENTERED as _ENTERED
from ..balancing.picks import Pick, Try
from ..balancing.pool import Pool
from ..circuits.attempt import Attempt
from ..circuits.deadlines import queue_for
from ..door import CONNECT_TIMEOUT, LEAST

#: Seconds of silence after which our own sessions give a connection up, where no circuit does it before.
PATIENCE = 300.0
#: No total: aiohttp's timer for it is a tenth of what a request costs, and seldom the limit that counts.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)


def patience(request: ClientRequest) -> float | None:
    """`PATIENCE` for requests of our own sessions, whose own timeouts say nothing; else ``None``."""
    return PATIENCE if request.session.timeout is TIMEOUT else None


class _Timed:
    """Something with a place in a queue of deadlines: see `TryTimer`."""

    __slots__ = ()

    _cancels: int
    _live: dict[Any, None]
    _task: asyncio.Task[Any]
    expired: bool

    def expire(self) -> None:
        """The time is up; asked by the queue."""
        self.expired = True  # type: ignore[misc]  # a slot of those who inherit: two sets do not mix
        self._task.cancel()

    def mine(self) -> bool:
        """Whether a cancellation that has just arrived is this timer's, and nobody else's too."""
        if not self.expired:
            return False
        self.expired = False  # type: ignore[misc]
        return bool(self._task.uncancel() <= self._cancels)

    def end(self) -> None:
        """The try is over. Harmless when called again."""
        self._live.pop(self, None)
        if self.expired:  # cancelled, but the try has ended all the same
            self.expired = False  # type: ignore[misc]
            self._task.uncancel()


class TryTimer(_Timed):
    """Gives up one try of a coroutine: ``asyncio.timeout`` for a fraction of its price.

    It shares its timer with all tries of about the same length, so it is rounded down a little. Call
    `mine` when the try was cancelled, and `end` in any case.
    """

    __slots__ = ("_cancels", "_live", "_task", "began", "expired")

    def __init__(self, seconds: float, attempt: Attempt | None, loop: asyncio.AbstractEventLoop) -> None:
        whole = attempt.deadline if attempt is not None else None
        now = attempt.circuit.now if attempt is not None else time.monotonic
        queue = _usual.get(whole)
        if (
            queue is None
            or queue.loop is not loop
            or queue.now is not now
            or not queue.limit <= seconds < 1.1 * queue.limit
        ):
            queue = _queue(seconds, whole, now)
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancels = task.cancelling()
        self.expired = False
        self.began = now()
        self._live = queue.live
        queue.live[self] = None
        if not queue.armed:
            queue.arm()


class FirstTry(_Timed, Try):
    """The first try of a request inside a circuit's call, entered, and its timer: one object, for speed.

    Its `timeout` is what `~..balancing.picks.Tries` would give it. There is a timer only if there may be a
    second try, or if nothing else would ever end this one: a circuit ends its calls itself.
    """

    __slots__ = ("_cancels", "_live", "_task", "began", "expired")

    number: ClassVar[int] = 1  # type: ignore[misc]

    def __init__(
        self, chosen: tuple[Pool, Node, float], attempt: Attempt, request: ClientRequest, safe: bool
    ) -> None:
        circuit = attempt.circuit
        pool, node, now = chosen
        self._pool = pool
        self._node = node
        self._mean = pool.means.get(circuit.name) or pool.usual(circuit.name)
        self._stage = _ENTERED
        self._tries = None
        self.expired = False
        self._live = _NOWHERE
        self._began = now
        node.in_flight += 1
        deadline = attempt.deadline
        if deadline is None:
            self.timeout = None
            most = patience(request)
            if most is None:
                return
            left = most
        else:
            left = (attempt.began or now) + deadline - now
            if left < 0.0:
                left = 0.0
            if safe and len(pool.snapshot) > 1:
                left *= 0.5
            elif attempt.task is not None:
                self.timeout = left
                return
            self.timeout = left
        loop = request.loop
        # Nearly all tries begin at once, so they get a little less than half of the time.
        queue = _usual.get(deadline)
        if (
            queue is None
            or queue.loop is not loop
            or queue.now is not circuit.now
            or not queue.limit <= left < 1.1 * queue.limit
        ):
            queue = _queue(left, deadline, circuit.now)
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancels = task.cancelling()
        self.began = now
        self._live = queue.live
        queue.live[self] = None
        if not queue.armed:
            queue.arm()

    def __enter__(self) -> Self:
        return self  # it was when it was made

    def good(self) -> None:
        """It was answered, and well: `end`, and the end of its block, in one."""
        if self.expired or self._stage != _ENTERED:
            self.end()
            self.__exit__(None, None, None)
            return
        self._live.pop(self, None)
        self._stage = _DONE
        node = self._node
        node.in_flight -= 1
        now = node.now()
        seconds = now - self._began
        if seconds >= 0.0:
            node.answered(self._mean, seconds, now)
            if node.state:
                self._pool.recovered(node, self._began)


_NOWHERE: dict[Any, None] = {}
_usual: dict[float | None, Any] = {}


def _queue(seconds: float, whole: float | None, now: Callable[[], float]) -> Any:
    if whole is not None and seconds > (step := whole / 64):
        seconds = int(seconds / step) * step
    queue = queue_for(max(seconds, LEAST), now)
    if len(_usual) >= 1000:
        _usual.clear()
    _usual[whole] = queue
    return queue


def watch_body(request: ClientRequest, response: ClientResponse, pick: Pick | None) -> None:
    """While a body is still to come its instance stays busy; and it must not stand still for ever."""
    connection = response.connection
    if connection is None:
        return
    content = response.content
    timer: asyncio.TimerHandle | None = None
    last = -1

    def look() -> None:
        nonlocal timer, last
        if content.total_bytes == last:
            content.set_exception(aiohttp.SocketTimeoutError(f"nothing came for {PATIENCE:g}s"))
            response.close()
            return
        last = content.total_bytes
        timer = request.loop.call_later(PATIENCE, look)

    def over() -> None:
        if timer is not None:
            timer.cancel()
        if pick is not None:
            error = content.exception()
            # The bare kind is what aiohttp leaves behind when the caller did not want the rest.
            if error is not None and type(error) is not aiohttp.ClientConnectionError:
                pick.broke(error)
            pick.release()

    if pick is not None:
        pick.hold()
    if patience(request) is not None:
        look()
    connection.add_callback(over)
