"""A client that others wrote, unchanged, against this registry."""

from __future__ import annotations

import asyncio
import sys

from registry_server.app import running

# In a process of its own: the client leaves threads behind that go on asking after it was stopped.
CLIENT = """
import asyncio, os, sys
from py_eureka_client.eureka_client import EurekaClient

async def main():
    client = EurekaClient(eureka_server=sys.argv[1], app_name="orders", instance_host="127.0.0.1",
                          instance_port=9999, renewal_interval_in_secs=1, duration_in_secs=3)
    await client.start()
    (app,) = client.applications.applications
    print([(one.app, one.status, one.port.port) for one in app.instances], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await client.stop()
    print("stopped", flush=True)
    os._exit(0)

asyncio.run(main())
"""


async def test_py_eureka_client_registers_renews_reads_and_leaves() -> None:
    pipe = asyncio.subprocess.PIPE
    async with running() as registry, asyncio.timeout(20):
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", CLIENT, registry.url, stdin=pipe, stdout=pipe
        )
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            assert await client.stdout.readline() == b"[('ORDERS', 'UP', 9999)]\n"
            while registry.registry.table.renewals < 1:
                await asyncio.sleep(0.05)
            client.stdin.write(b"\n")
            assert await client.stdout.readline() == b"stopped\n"
            assert await client.wait() == 0
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        assert registry.views.services() == []
        assert registry.views.changes()[0]["text"] == "signed out"
