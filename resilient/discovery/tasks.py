"""The loops that drive lease and mirror, and tell the registry about our circuits."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random

from ..background import off_loop
from ..clock import SYSTEM, Clock
from ..errors import RegistryError, RegistryRefused, RegistryUnknown
from ..events import DirectoryChanged, LeaseChanged, Publish, RegistryChanged, discard
from ..model import Directory, Instance, Status
from ..settings import RegistryAddress, Settings
from .bell import Bell
from .client import RegistryClient
from .lease import LONGEST_BACK_OFF, Answer, BackOff, LeaseKeeper, Step, jittered
from .locate import Located, own_address
from .mirror import APART, Fetch, Mirror
from .workers import Worker

Urls = Sequence[RegistryAddress | str] | Callable[[], Awaitable[Located]]

#: Early refreshes and turns of circuits come in bunches; they lead to no more than one call in this time.
REFRESH_GAP = 1.0
PUSH_GAP = 0.1
#: How long `Discovery.stop` may take in all, in seconds.
STOP_WITHIN = 2.0

_log = logging.getLogger("resilient.discovery")


class Discovery:
    """A process's side of the registry: keeps its registration, its directory and its board fresh.

    ``urls`` are the registry's addresses, or a function that finds them and is asked until it does.
    ``me`` is registered unless it is ``None``; without a host it gets the address from which the
    registry is reached, without an id ``host:service:port``. ``on_directory`` hears every new
    directory, on the loop; ``circuits`` is asked for what to tell about our circuits, ``None`` for
    nothing. `refresh`, `nudge`, `become` and the properties may be used from any thread.
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
        on_directory: Callable[[Directory], None] | None = None,
        circuits: Callable[[], object | None] | None = None,
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._me = me
        self._clock = clock
        self._rng = rng or Random()
        self._publish = publish
        self._on_directory = on_directory
        self._circuits = circuits
        self._client: RegistryClient | None = None
        self._mirror = Mirror(accept_empty=settings.accept_empty, clock=clock, rng=self._rng)
        self._keeper: LeaseKeeper | None = None
        self._worker: Worker | None = None
        self._signed_in = False
        self._status: Status | None = None
        self._link: str | None = None
        self._fetch_error = self._lease_error = ""
        self._task: asyncio.Task[None] | None = None
        self._lease_task: asyncio.Task[None] | None = None
        self._refresh, self._nudge, self._lease = Bell(), Bell(), Bell()
        self._stopping = False
        #: Seconds between two reports about circuits; may be changed at any time.
        self.push_interval = settings.push_interval
        #: Set once the directory was read. For tasks on the same loop.
        self.ready = asyncio.Event()

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
        return self._client.connected_url if self._client and self._link else ""

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
        return self._fetch_error or self._lease_error

    def report(self) -> dict[str, object]:
        """The same for an operator's eyes; no credentials in it."""
        me = self.instance
        return {
            "urls": self._client.urls if self._client else [],
            "connected": self.connected_url,
            "age_seconds": self.age,
            "instances": len(self.directory),
            "in_doubt": self._mirror.in_doubt,
            "instance": me.id if me else None,
            "status": me.status.value if me else None,
            "registered": self.registered,
            "error": self.last_error,
        }

    # -- what may be asked ------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the directory early, at most once a second: somebody could not reach an instance."""
        self._refresh.ring()

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
        for bell in (self._refresh, self._nudge, self._lease):
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
            self._link = None

    # -- the loops --------------------------------------------------------------------------------

    async def _run(self, me: Instance | None) -> None:
        addresses = await self._addresses()
        settings = self._settings
        self._client = client = RegistryClient(
            addresses, zone=settings.zone, clock=self._clock, rng=self._rng
        )
        self._mirror.registries = len(addresses)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._always(partial(self._keep_mirror, client)), name="resilient-mirror")
            if me is not None and settings.register:
                me = await self._complete(me, addresses[0].url)
                self._keeper = LeaseKeeper(me, clock=self._clock, rng=self._rng)
                lease = self._always(partial(self._keep_lease, client, self._keeper))
                self._lease_task = loops.create_task(lease, name="resilient-lease")
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
                self._lost("", error)
            await self._refresh.wait(back_off.next())

    async def _complete(self, me: Instance, url: str) -> Instance:
        host = me.host or await off_loop(own_address, url)
        return dataclasses.replace(me, host=host, id=me.id or f"{host}:{me.service}:{me.port}")

    async def _keep_mirror(self, client: RegistryClient) -> None:
        loop = asyncio.get_running_loop()
        interval = self._settings.fetch_interval
        back_off = BackOff(self._rng)
        while True:
            fetch = self._mirror.next()
            began = loop.time()
            try:
                wait = await self._fetch(client, fetch)
            except RegistryError as error:
                self._mirror.failed(fetch)
                if isinstance(error, RegistryRefused) and not fetch.full:
                    wait = self._rng.uniform(0.0, min(1.0, interval))
                else:
                    self._lost(client.urls[0], error)
                    wait = back_off.next()
            else:
                # From now on a failure is no hurry: the mean wait stays what it was, and grows.
                back_off = BackOff(self._rng, first=2 * interval, longest=max(LONGEST_BACK_OFF, interval))
            if await self._refresh.wait(wait):
                await asyncio.sleep(max(0.0, began + min(REFRESH_GAP, interval) - loop.time()))

    async def _fetch(self, client: RegistryClient, fetch: Fetch) -> float:
        """One question and its answer. Returns how long to wait for the next."""
        source, page = await (client.full(fetch.elsewhere) if fetch.full else client.delta())
        self._linked(source)
        first = not self._mirror.ready
        before = self._mirror.directory
        if self._mirror.heard(fetch, source, page) or (first and self._mirror.ready):
            self._spread(before, self._mirror.directory)
            self.ready.set()
        interval = self._settings.fetch_interval
        if self._mirror.in_doubt:
            return jittered(min(interval, APART * 1.2), self._rng)
        if not fetch.full and self._mirror.next().full:
            return self._rng.uniform(0.0, min(1.0, interval))
        return jittered(interval, self._rng)

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
            self._told(keeper.heard(step, sent, answer), sent, detail)
            if self._link == "" and answer in (Answer.TAKEN, Answer.UNKNOWN):
                self._refresh.ring()  # the registry is back: do not wait out the pause for the directory

    async def _step(self, client: RegistryClient, step: Step, sent: Instance) -> tuple[Answer, str]:
        try:
            if step is Step.SIGN_IN:
                answer = await client.register(sent)
            elif step is Step.RENEW:
                answer = await client.renew(sent)
            else:
                answer = await client.cancel(sent.service, sent.id)
        except RegistryError as error:
            self._lease_error = _line(error)
            return (Answer.REFUSED if isinstance(error, RegistryRefused) else Answer.SILENCE), _line(error)
        self._lease_error = (
            "" if answer is not Answer.REFUSED else "the registry did not take our registration"
        )
        return answer, self._lease_error

    async def _push(self, client: RegistryClient, circuits: Callable[[], object | None]) -> None:
        while True:
            await self._nudge.wait(jittered(self.push_interval, self._rng))
            try:
                payload = circuits()
                if payload is not None:
                    await client.post_circuits(payload)
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

    # -- telling ----------------------------------------------------------------------------------

    def _linked(self, url: str) -> None:
        self._fetch_error = ""
        before, self._link = self._link, url
        if not before:
            self._publish(RegistryChanged(at=self._clock.time(), url=url, what="connected"))
        elif before != url:
            self._publish(
                RegistryChanged(at=self._clock.time(), url=url, what="moved", detail=f"from {before}")
            )

    def _lost(self, url: str, error: RegistryError) -> None:
        self._fetch_error = _line(error)
        before, self._link = self._link, ""
        if before != "":  # said once, not at every try
            detail = f"{self._fetch_error}; trying again, the last known directory is used meanwhile"
            self._publish(
                RegistryChanged(at=self._clock.time(), url=before or url, what="lost", detail=detail)
            )

    def _told(self, what: str, me: Instance, detail: str) -> None:
        if what:
            self._publish(
                LeaseChanged(
                    at=self._clock.time(), service=me.service, instance=me.id, what=what, detail=detail
                )
            )

    def _spread(self, before: Directory, after: Directory) -> None:
        if self._on_directory is not None:
            try:
                self._on_directory(after)
            except Exception:
                _log.exception("a new directory could not be taken")
        changed = _changed(before.services, after.services)
        if changed:
            self._publish(DirectoryChanged(at=self._clock.time(), services=changed))


def _changed(
    before: Mapping[str, tuple[Instance, ...]], after: Mapping[str, tuple[Instance, ...]]
) -> tuple[str, ...]:
    """Services that gained or lost instances."""
    names = before.keys() | after.keys()
    return tuple(
        sorted(
            name
            for name in names
            if before.get(name) is not after.get(name)
            and {one.id for one in before.get(name, ())} != {one.id for one in after.get(name, ())}
        )
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
