"""An aiohttp service under gunicorn:

RESILIENT_REGISTRY=... gunicorn examples.gunicorn_service:app -k aiohttp.GunicornWebWorker --workers 2
"""

from aiohttp import web

from resilient.aiohttp import setup

routes = web.RouteTableDef()


@routes.get("/stock/{sku}")
async def stock(request: web.Request) -> web.Response:
    return web.json_response({"sku": request.match_info["sku"], "left": 3})


app = web.Application()
app.add_routes(routes)
setup(app, "stock")  # all workers behind the port are one instance; the last one out signs off
