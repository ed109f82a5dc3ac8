"""A hundred first calls at once, before anything of the directory is known."""

import asyncio
from collections import Counter

from aiohttp import web

from resilient import Runtime
from resilient.aiohttp import make_session
from resilient.settings import Settings


async def test_case_67_a_hundred_first_calls_read_the_directory_once() -> None:
    asked: Counter[str] = Counter()
    port = 0

    async def answer(request: web.Request) -> web.Response:
        asked[f"{request.method} {request.path.rstrip('/')}"] += 1
        if request.path == "/eureka/apps/delta" or not request.path.startswith(("/eureka/apps", "/item")):
            raise web.HTTPNotFound
        if request.path == "/item":
            return web.Response(text="anvil")
        await asyncio.sleep(0.1)  # all of them are waiting by now
        instance = {
            "instanceId": "one", "app": "ORDERS", "hostName": "127.0.0.1", "ipAddr": "127.0.0.1",
            "status": "UP", "port": {"$": port, "@enabled": "true"},
            "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
        }  # fmt: skip
        listed = {"versions__delta": "1", "apps__hashcode": "UP_1_", "application": []}
        listed["application"] = [{"name": "ORDERS", "instance": [instance]}]
        return web.json_response({"applications": listed})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    runtime = Runtime(settings=Settings.load({"RESILIENT_REGISTRY": f"http://127.0.0.1:{port}/eureka/"}))
    try:
        with runtime.active():
            async with make_session() as http:

                async def call() -> str:
                    async with http.get("http://orders/item") as response:
                        return await response.text()

                assert await asyncio.gather(*(call() for _ in range(100))) == ["anvil"] * 100
        assert asked["GET /eureka/apps"] == 1
        assert asked["GET /item"] == 100
    finally:
        await runtime.aclose()
        await runner.cleanup()
