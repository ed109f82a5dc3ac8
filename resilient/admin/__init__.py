"""What an operator may ask a running process, and do to it.

`serve` opens the pages on a port of their own, for programs without a server; services have them beside their
application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runtime import Runtime
    from .listener import AdminListener

#: Ports of this process that are ours, and therefore not the application's.
PORTS: set[int] = set()


def serve(
    port: int | None = None,
    *,
    host: str | None = None,
    runtime: Runtime | None = None,
    acts: bool = True,
) -> AdminListener:
    """Open the admin pages of this process on a port of their own, served by a thread of their own.

    ``port`` defaults to the setting ``admin_port``, else to 9990; if it is taken, one of the next 19 is used;
    0 is any free one. ``host`` defaults to the setting ``admin_host``, which is loopback; beyond it a token
    is wanted (``RESILIENT_ADMIN_TOKEN``). Called on an event loop, it watches that loop too. ``acts=False``
    lets nobody do anything. End it with ``.stop()``. Raises ConfigError if there is no free port.
    """
    import asyncio

    from ..runtime import process_runtime
    from .desk import Desk
    from .listener import PORT, AdminListener

    runtime = runtime or process_runtime()
    if port is None:
        port = runtime.settings.admin_port or PORT
    desk = Desk(runtime)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        desk.loops.watch("main")
    return AdminListener(desk, host=host or runtime.settings.admin_host, port=port, acts=acts)
