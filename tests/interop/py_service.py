"""A copy of a service that tells which copy it is: python py_service.py NAME"""

import os
import sys

from aiohttp import web

from resilient.aiohttp import run_app


async def whoami(request: web.Request) -> web.Response:
    return web.json_response({"from": "python", "pid": os.getpid(), "path": request.path_qs})


app = web.Application()
app.router.add_get("/{path:.*}", whoami)
run_app(app, sys.argv[1])
