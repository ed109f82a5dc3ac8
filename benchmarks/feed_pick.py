"""Readers of the feed that count what ``pick()`` can return, not what the wire says.

:func:`picking` is one for ``benchmarks.feed``. As a process it prints when an instance came and went:

``python -m benchmarks.feed_pick SERVICE [SECONDS]`` with ``RESILIENT_REGISTRY`` set. Lines on standard
output: ``ready TIME`` once the feed is live, then ``+ ID TIME`` and ``- ID TIME`` for instances that come and
go; times are seconds of the system-wide monotonic clock, which other processes of this machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from resilient.errors import NoInstance
from resilient.events import DirectoryChanged
from resilient.runtime import Runtime
from resilient.settings import Settings

#: Seconds between two looks: what is measured is no finer than this.
LOOK = 0.0005


async def picking(url: str, seen: Callable[[int], None]) -> Callable[[], None]:
    """A whole runtime: its own directory, its own feed, its own balancer. ``seen(n)`` once ``pick("bench")``
    can return ``bench-n``."""
    runtime = Runtime(settings=Settings.load(None, registry=url, mdns=False, register=False))
    known: set[str] = set()

    def look(event: DirectoryChanged) -> None:
        if "bench" not in event.services:
            return
        with runtime.balancer.pick("bench"):  # from now on it chooses among these
            pass
        for one in runtime.lookup("bench"):
            if one.id not in known:
                known.add(one.id)
                seen(int(one.id.removeprefix("bench-")))

    runtime.events.subscribe(look, DirectoryChanged)  # type: ignore[arg-type]
    runtime.start()
    end = time.monotonic() + 60
    while runtime.discovery is None or not runtime.discovery.live:
        if time.monotonic() > end:
            raise TimeoutError("the feed never came")
        await asyncio.sleep(0.05)
    return runtime.stop_discovery


def main(service: str, seconds: float) -> None:
    """Look until the time is over."""
    with Runtime(settings=Settings.load(None, mdns=False)) as runtime:
        end = time.monotonic() + seconds
        while not (runtime.wait() and runtime._discovery is not None and runtime._discovery.live):
            if time.monotonic() > end:
                raise SystemExit("the feed never came")
            time.sleep(0.01)
        print(f"ready {time.monotonic():.6f}", flush=True)
        known: set[str] = set()
        listed: object = None
        while time.monotonic() < end:
            now = runtime.lookup(service)
            if now is not listed:
                listed = now
                try:
                    with runtime.balancer.pick(service):
                        pass
                except NoInstance:
                    pass
                at = time.monotonic()
                here = {node.id for node in runtime.balancer.nodes(service)} if now else set()
                for sign, ids in (("+", here - known), ("-", known - here)):
                    for id in sorted(ids):
                        print(f"{sign} {id} {at:.6f}", flush=True)
                known = here
            time.sleep(LOOK)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
