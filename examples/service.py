"""A service: RESILIENT_REGISTRY=http://127.0.0.1:8761/eureka/ python examples/service.py"""

from aiohttp import web

from resilient.aiohttp import run_app

routes = web.RouteTableDef()


@routes.get("/orders/{id}")
async def order(request: web.Request) -> web.Response:
    return web.json_response({"id": int(request.match_info["id"]), "item": "anvil"})


app = web.Application()
app.add_routes(routes)
run_app(app, "orders")  # any free port, registered, heartbeats, signs out on SIGTERM
