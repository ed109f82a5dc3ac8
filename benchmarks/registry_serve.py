"""The server processes of the registry's bench: ``python -m benchmarks.registry_serve ours|bare``.

Told commands by line on standard input, each answered with a line of JSON. ``bare`` is an aiohttp
application with one route and a handler that answers 200, on the same loop.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from typing import Any

from aiohttp import web

TOKEN = "a-token-for-the-bench-only"
STAMP = 1_700_000_000_000
SERVICES = 200


def registration(number: int, services: int = SERVICES) -> dict[str, Any]:
    """What a Spring service sends of itself, number ``number`` of them."""
    host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    service = f"service-{number % services}"
    return {
        "instanceId": f"{host}:{service}:8080",
        "hostName": host,
        "app": service.upper(),
        "ipAddr": host,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
        "metadata": {"management.port": "8080", "version": "2.4.1"},
        "homePageUrl": f"http://{host}:8080/",
        "statusPageUrl": f"http://{host}:8080/actuator/info",
        "healthCheckUrl": f"http://{host}:8080/actuator/health",
        "vipAddress": service,
        "secureVipAddress": service,
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": str(STAMP),
        "lastDirtyTimestamp": str(STAMP),
    }


def path_of(number: int, services: int = SERVICES) -> str:
    """Where its heartbeats go."""
    host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    service = f"service-{number % services}"
    return f"/eureka/apps/{service.upper()}/{host}:{service}:8080"


def memory() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Ours:
    """The registry with token, guard, eviction, web UI: as it runs."""

    def __init__(self, most: int, snapshot: str) -> None:
        from registry_server.app import make_app
        from registry_server.housekeeping import Housekeeper
        from registry_server.settings import Settings

        self.began = time.perf_counter()
        settings = Settings(port=0, token=TOKEN, max_instances=most, snapshot=snapshot)
        self.app = make_app(settings)
        self.keeper = Housekeeper(self.app.registry)
        self.empty = memory()

    async def start(self) -> int:
        await self.app.start()
        self.keeper.start()
        return self.app.port

    async def stop(self) -> None:
        self.keeper.stop()
        await self.app.stop()

    def _touch(self) -> None:
        """Everybody who is there stays: on a busy machine filling takes longer than a lease."""
        table = self.app.registry.table
        for name in table.services():
            for id in table.leases(name):
                table.touch(name, id)

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        registry = self.app.registry
        match order["do"]:
            case "fill":
                from resilient.eureka.json import read_instance

                now = int(time.time() * 1000)
                for number in range(order["from"], order["to"]):
                    services = order.get("services", SERVICES)
                    body = json.dumps({"instance": registration(number, services)}).encode()
                    await registry.register(read_instance(body, now_ms=now), by="127.0.0.1")
                    if number % 100 == 0:
                        await asyncio.sleep(0)
                    if number % 10_000 == 0 and not order.get("alone"):
                        self._touch()
            case "forget changes":  # as three minutes without any would
                registry.table._recent.clear()
                registry.table.delta_version += 1
            case "oldest":
                now_ = registry.table.now()
                ages = [
                    lease.age(now_)
                    for name in registry.table.services()
                    for lease in registry.table.leases(name).values()
                ]
                return {"oldest": max(ages), "leases": len(ages), "renewals": registry.table.renewals}
            case "clear":
                self.app.stalls.clear()
            case "count":
                return {"leases": len(registry.table), "renewals": registry.table.renewals}
            case "stalls":
                return {"longest": self.app.stalls.longest, "p99": self.app.stalls.quantile(0.99)}
            case "save":
                assert self.app.keeper is not None
                began = time.perf_counter()
                await self.app.keeper.save()
                return {"seconds": time.perf_counter() - began}
        return {}


class Bare:
    """What aiohttp itself costs."""

    async def start(self) -> int:
        async def ok(request: web.Request) -> web.Response:
            return web.Response()

        app = web.Application()
        app.router.add_put("/eureka/apps/{app}/{id}", ok)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        return int(self.runner.addresses[0][1])

    async def stop(self) -> None:
        await self.runner.cleanup()

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        return {}


async def _serve(kind: str, most: int, snapshot: str) -> None:
    server: Ours | Bare = Ours(most, snapshot) if kind == "ours" else Bare()
    began = time.perf_counter()
    empty = memory()
    port = await server.start()
    _say({"port": port, "start_seconds": time.perf_counter() - began})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "collect":
            gc.collect()
        said = await server.do(order)
        used = time.process_time()
        _say({**said, "cpu": used, "memory": memory(), "grown": memory() - empty})
    await server.stop()


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    import uvloop

    kind, most, snapshot = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(kind, most, snapshot))


if __name__ == "__main__":
    main()
