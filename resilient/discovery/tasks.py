"""The loops that drive lease and mirror, and tell the registry about our circuits."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random

from ..background import off_loop
from ..clock import SYSTEM, Clock
from ..errors import RegistryError, RegistryRefused, RegistryUnknown
from ..events import LeaseChanged, Publish, discard
from ..model import Directory, Instance, Status
from ..settings import RegistryAddress, Settings
from .bell import Bell
from .client import RegistryClient
from .feeding import Feeder, Who
from .lease import Answer, BackOff, LeaseKeeper, Step, jittered
from .locate import Located, own_address
from .mirror import Mirror
from .polling import OnDirectory, Poller, line
from .workers import Worker

Urls = Sequence[RegistryAddress | str] | Callable[[], Awaitable[Located]]

#: Turns of circuits come in bunches; they lead to no more than one report in this time, in seconds.
PUSH_GAP = 0.1
#: Seconds between two reports about circuits while somebody looks at them, at most.
WATCHED = 1.0
#: How long `Discovery.stop` may take in all, in seconds.
STOP_WITHIN = 2.0

_log = logging.getLogger("resilient.discovery")


class Discovery:
    """A process's side of the registry: keeps its registration, its directory and its board fresh.

    ``urls`` are the registry's addresses, or a function that finds them and is asked until it does.
    ``me`` is registered unless it is ``None``; without a host it gets the address from which the
    registry is reached, without an id ``host:service:port``. ``on_directory`` hears every new
    directory, on the loop, with the services that are others in it, if that is known; ``circuits`` is
    asked for what to tell about our circuits, ``None`` for nothing. ``who`` tells whom we read the feed
    for, and ``on_command`` hears what that process is to do to its circuits; ``on_pushed`` whether a report
    was taken. `refresh`, `nudge`, `become`
    and the properties may be used from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        urls: Urls,
        me: Callable[[], Instance] | Instance | None = None,
        *,
        clock: Clock = SYSTEM,
        rng: Random | None = None,
        publish: Publish = discard,
        on_directory: OnDirectory | None = None,
        circuits: Callable[[], object | None] | None = None,
        who: Who | None = None,
        on_command: Callable[[Mapping[str, object]], None] = lambda payload: None,
        on_pushed: Callable[[bool], None] = lambda taken: None,
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._me = me
        self._clock = clock
        self._rng = rng or Random()
        self._publish = publish
        self._circuits = circuits
        self._on_command = on_command
        self._on_pushed = on_pushed
        self._client: RegistryClient | None = None
        self._mirror = Mirror(accept_empty=settings.accept_empty, clock=clock, rng=self._rng)
        self._keeper: LeaseKeeper | None = None
        self._worker: Worker | None = None
        self._signed_in = False
        self._status: Status | None = None
        self._lease_error = ""
        self._task: asyncio.Task[None] | None = None
        self._lease_task: asyncio.Task[None] | None = None
        self._nudge, self._lease = Bell(), Bell()
        self._stopping = False
        self._watched = False
        interval = settings.fetch_interval
        self._poller = Poller(
            self._mirror,
            interval,
            clock=clock,
            rng=self._rng,
            publish=publish,
            on_directory=on_directory,
            polled=lambda: self._feeder.polled(),
        )
        self._feeder = Feeder(
            self._mirror,
            self._poller,
            interval,
            clock=clock,
            rng=self._rng,
            publish=publish,
            who=who or self._who,
            on_command=self._command,
            on_watched=self._watch,
        )
        #: Seconds between two reports about circuits; may be changed at any time.
        self.push_interval = settings.push_interval
        #: Sign-ins and heartbeats so far, by the registry's answer.
        self.heartbeats = {answer.value: 0 for answer in Answer}
        #: Set once the directory was read. For tasks on the same loop.
        self.ready = self._poller.ready

    # -- what is known ----------------------------------------------------------------------------

    @property
    def directory(self) -> Directory:
        """The latest directory, in every status; empty until `ready`, then kept for ever."""
        return self._mirror.directory

    @property
    def age(self) -> float | None:
        """Seconds since a registry last confirmed the directory; ``None`` before the first time."""
        return self._mirror.age

    @property
    def connected_url(self) -> str:
        """The registry that answered last, ``""`` if none does."""
        return self._client.connected_url if self._client and self._poller.link else ""

    @property
    def instance(self) -> Instance | None:
        """What we registered, or are about to."""
        return self._keeper.instance if self._keeper else None

    @property
    def registered(self) -> bool:
        """Whether the registry has us, as far as we know."""
        return self._keeper is not None and self._keeper.registered

    @property
    def last_error(self) -> str:
        """What is wrong between us and the registry, in one line; ``""`` if nothing is."""
        return self._poller.error or self._lease_error

    @property
    def live(self) -> bool:
        """Whether the registry's feed keeps the directory up to date: there is nothing to ask for."""
        return self._feeder.live

    @property
    def fetches(self) -> dict[str, int]:
        """How often the directory was asked for: ``full``, ``delta`` or ``error``."""
        return self._poller.fetches

    def report(self) -> dict[str, object]:
        """The same for an operator's eyes; no credentials in it."""
        me = self.instance
        return {
            "urls": self._client.urls if self._client else [],
            "connected": self.connected_url,
            "age_seconds": self.age,
            "instances": len(self.directory),
            "in_doubt": self._mirror.in_doubt,
            "in_grace": self._mirror.in_grace,
            "feed": self._feeder.report(),
            "instance": me.id if me else None,
            "status": me.status.value if me else None,
            "registered": self.registered,
            "error": self.last_error,
        }

    # -- what may be asked ------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the directory early, at most once a second: somebody could not reach an instance."""
        self._poller.refresh()

    async def refreshed(self) -> None:
        """`refresh`, and wait until a registry has answered, or did not. On the loop only."""
        await self._poller.refreshed()

    def nudge(self) -> None:
        """Tell the registry about our circuits now: one has turned."""
        self._nudge.ring()

    def become(self, status: Status) -> None:
        """Take another status and tell the registry at once. To be left alone while draining: DOWN."""
        self._status = status
        self._lease.ring()

    async def start(self) -> None:
        """Start the loops. Does not wait for the registry, nor fail without one."""
        if self._task is not None:
            return
        self._stopping = False
        me = self._me() if callable(self._me) else self._me
        for bell in (self._poller.bell, self._nudge, self._lease):
            bell.hang()
        self._task = asyncio.create_task(self._run(me), name="resilient-discovery")

    async def stop(self) -> None:
        """Sign out and end the loops, within two seconds. The directory stays."""
        task, self._task = self._task, None
        if task is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + STOP_WITHIN
        try:
            # A step that is under way may finish, so that it does not arrive after the sign-out.
            self._stopping = True
            self._lease.ring()
            if self._lease_task is not None and not self._lease_task.done():
                await asyncio.wait([self._lease_task], timeout=STOP_WITHIN / 4)
            task.cancel()
            await asyncio.wait([task], timeout=STOP_WITHIN / 4)
            if task.done() and not task.cancelled() and task.exception() is not None:
                _log.error("discovery had ended with %r", task.exception())
            await self._sign_out(end - loop.time())
        finally:
            task.cancel()
            if self._worker is not None:
                self._worker.close()
                self._worker = None
            if self._client is not None:
                await self._client.close()
            self._poller.link = None

    # -- the loops --------------------------------------------------------------------------------

    async def _run(self, me: Instance | None) -> None:
        addresses = await self._addresses()
        settings = self._settings
        self._client = client = RegistryClient(
            addresses, zone=settings.zone, clock=self._clock, rng=self._rng
        )
        self._mirror.registries = len(addresses)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._always(partial(self._poller.run, client)), name="resilient-mirror")
            if me is not None and settings.register:
                me = await self._complete(me, addresses[0].url)
                self._keeper = LeaseKeeper(me, clock=self._clock, rng=self._rng)
                lease = self._always(partial(self._keep_lease, client, self._keeper))
                self._lease_task = loops.create_task(lease, name="resilient-lease")
            # Only now is known whom the feed is read for.
            loops.create_task(self._always(partial(self._feeder.run, client)), name="resilient-feed")
            if self._circuits is not None:
                push = self._always(partial(self._push, client, self._circuits))
                loops.create_task(push, name="resilient-push")

    async def _always(self, loop: Callable[[], Awaitable[None]]) -> None:
        """A loop's last line of defence: an error nobody foresaw costs a pause, never the heartbeat."""
        back_off = BackOff(self._rng)
        while True:
            try:
                return await loop()
            except Exception:
                _log.exception("an error in discovery that nobody foresaw")
            await asyncio.sleep(1.0 + back_off.next())

    async def _addresses(self) -> list[RegistryAddress]:
        if not callable(self._urls):
            return [
                one
                if isinstance(one, RegistryAddress)
                else RegistryAddress.parse(one, token=self._settings.token)
                for one in self._urls
            ]
        back_off = BackOff(self._rng)
        while True:
            try:
                located = await self._urls()
                return list(located.addresses)
            except RegistryUnknown as error:
                self._poller.lost("", error)
            await self._poller.bell.wait(back_off.next())

    async def _complete(self, me: Instance, url: str) -> Instance:
        host = me.host or await off_loop(own_address, url)
        return dataclasses.replace(me, host=host, id=me.id or f"{host}:{me.service}:{me.port}")

    async def _keep_lease(self, client: RegistryClient, keeper: LeaseKeeper) -> None:
        if self._worker is None:
            self._worker = Worker(",".join(sorted(client.urls)), keeper.instance.id)
        await self._worker.join()
        while not self._stopping:
            status, self._status = self._status, None
            if status is not None:
                keeper.become(status)
            step, wait = keeper.next()
            if wait > 0:
                await self._lease.wait(wait)
                continue
            sent = keeper.instance
            self._signed_in = self._signed_in or step is Step.SIGN_IN
            answer, detail = await self._step(client, step, sent)
            self.heartbeats[answer.value] += 1
            self._told(keeper.heard(step, sent, answer), sent, detail)
            if self._poller.link == "" and answer in (Answer.TAKEN, Answer.UNKNOWN):
                self._poller.bell.ring()  # the registry is back: do not wait out the pause for the directory

    async def _step(self, client: RegistryClient, step: Step, sent: Instance) -> tuple[Answer, str]:
        try:
            if step is Step.SIGN_IN:
                answer = await client.register(sent)
            elif step is Step.RENEW:
                answer = await client.renew(sent)
            else:
                answer = await client.cancel(sent.service, sent.id)
        except RegistryError as error:
            self._lease_error = line(error)
            return (Answer.REFUSED if isinstance(error, RegistryRefused) else Answer.SILENCE), line(error)
        self._lease_error = (
            "" if answer is not Answer.REFUSED else "the registry did not take our registration"
        )
        return answer, self._lease_error

    async def _push(self, client: RegistryClient, circuits: Callable[[], object | None]) -> None:
        while True:
            seconds = min(WATCHED, self.push_interval) if self._watched else self.push_interval
            await self._nudge.wait(jittered(seconds, self._rng))
            try:
                payload = circuits()
                if payload is not None:
                    if isinstance(payload, dict):
                        payload["interval"] = seconds
                    self._on_pushed(await client.post_circuits(payload))
                    if isinstance(payload, dict) and payload.get("more"):
                        self._nudge.ring()  # they did not fit into one message
            except Exception:
                _log.exception("our circuits could not be reported")
            await asyncio.sleep(PUSH_GAP)

    async def _sign_out(self, seconds: float) -> None:
        keeper, client, worker = self._keeper, self._client, self._worker
        if keeper is None or client is None or worker is None:
            return
        if not (self._signed_in and self._settings.sign_out and worker.last()):
            keeper.rest()
            return
        keeper.sign_out()
        sent = keeper.instance
        try:
            async with asyncio.timeout(max(0.1, seconds)):
                answer, detail = await self._step(client, Step.SIGN_OUT, sent)
        except TimeoutError:
            answer, detail = Answer.SILENCE, "no answer in time"
        self._told(keeper.heard(Step.SIGN_OUT, sent, answer), sent, detail)

    def _watch(self, watched: bool) -> None:
        if watched and not self._watched:
            self._nudge.ring()  # they have come to see something, and not in five seconds
        self._watched = watched

    def _command(self, payload: Mapping[str, object]) -> None:
        self._on_command(payload)
        self._nudge.ring()  # the report confirms it

    def _who(self) -> tuple[str, str]:
        me = self.instance
        return (f"{me.service.upper()}/{me.id}" if me else "", f"{socket.gethostname()}:{os.getpid()}")

    # -- telling ----------------------------------------------------------------------------------

    def _told(self, what: str, me: Instance, detail: str) -> None:
        if what:
            self._publish(
                LeaseChanged(
                    at=self._clock.time(), service=me.service, instance=me.id, what=what, detail=detail
                )
            )
