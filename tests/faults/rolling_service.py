"""A copy of ``orders`` that takes its time, and says at its end how many calls it has answered."""

import asyncio
import os

from aiohttp import web

from resilient.aiohttp import run_app

routes = web.RouteTableDef()
answered = {"GET": 0, "POST": 0}


@routes.get("/orders/{id}")
@routes.post("/orders/{id}")
async def order(request: web.Request) -> web.Response:
    await request.read()
    # One in ten is under way long enough to be cut in two by a copy that just ends.
    await asyncio.sleep(0.3 if int(request.match_info["id"]) % 10 == 0 else 0.005)
    answered[request.method] += 1
    return web.json_response({"id": request.match_info["id"]}, headers={"Copy": str(os.getpid())})


app = web.Application()
app.add_routes(routes)
run_app(app, "orders")
print("answered", answered["GET"], answered["POST"], flush=True)
