from collections.abc import AsyncIterator

import pytest
from web_site import Site, app

from resilient.web.guard import Guard
from resilient.web.limits import Limits
from resilient.web.server import listen


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    guard = Guard(
        limits=Limits(body=1000, head_timeout=0.3, body_timeout=0.3, idle_timeout=0.8, connections=20),
        bare_errors=("/eureka", "/v2"),
        hosts={"registry.internal"},
        origins={"https://ops.example"},
        bodies={"/peers/": 5000},
    )
    listener = await listen(app(), guard=guard, shutdown_timeout=0.5)
    yield Site(listener, guard)
    await listener.close()
