"""One copy of one service of the demo's shop: ``python -m resilient.demo.shop SERVICE``.

Five services call each other by name through circuits and balancers: ``front`` asks ``catalog`` and
``orders``, those ask ``prices`` and ``reviews``. The registry's URL in the environment is all they are told.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from typing import Any

from aiohttp import web

from ..aiohttp.client import session
from ..aiohttp.web import run_app
from ..decorators import circuit

#: Service -> number of copies.
COPIES = {"front": 2, "catalog": 3, "orders": 3, "prices": 2, "reviews": 3}

_ITEMS = ["anvil", "rope", "rocket skates", "tunnel paint", "giant magnet"]


async def _json(url: str) -> Any:
    async with session().get(url) as response:
        response.raise_for_status()
        return await response.json()


@circuit("price", timeout=2, default=None)
async def price(item: str) -> float | None:
    """From catalog and orders to prices."""
    return float((await _json(f"http://prices/prices/{item}"))["price"])


@circuit("reviews", timeout=1, default=[])
async def reviews(item: str) -> list[str]:
    """From catalog to reviews."""
    found: list[str] = await _json(f"http://reviews/reviews/{item}")
    return found


@circuit("item", timeout=3, default=None)
async def item(name: str) -> dict[str, Any] | None:
    """From front to catalog."""
    found: dict[str, Any] = await _json(f"http://catalog/items/{name}")
    return found


@circuit("order", timeout=3, default=None)
async def order(id: int) -> dict[str, Any] | None:
    """From front to orders."""
    found: dict[str, Any] = await _json(f"http://orders/orders/{id}")
    return found


class Mood:
    """How this copy behaves; the demo's chaos changes it."""

    def __init__(self) -> None:
        self.errors = 0.0
        self.delay = 0.0
        self.served = 0

    async def suffer(self) -> None:
        """Work a little, and fail or dawdle as told."""
        self.served += 1
        await asyncio.sleep(random.uniform(0.001, 0.008) + self.delay)
        if random.random() < self.errors:
            raise web.HTTPInternalServerError(text="told to fail")


MOOD = web.AppKey("mood", Mood)


async def _front(request: web.Request) -> web.Response:
    chosen, ordered = await asyncio.gather(item(random.choice(_ITEMS)), order(random.randrange(1000)))
    whole = chosen is not None and ordered is not None
    request.app[MOOD].served += 1
    return web.json_response({"item": chosen, "order": ordered, "whole": whole})


async def _catalog(request: web.Request) -> web.Response:
    await request.app[MOOD].suffer()
    name = request.match_info["name"]
    cost, said = await asyncio.gather(price(name), reviews(name))
    return web.json_response({"name": name, "price": cost, "reviews": said})


async def _orders(request: web.Request) -> web.Response:
    await request.app[MOOD].suffer()
    cost = await price(random.choice(_ITEMS))
    return web.json_response({"id": request.match_info["id"], "total": cost})


async def _prices(request: web.Request) -> web.Response:
    await request.app[MOOD].suffer()
    return web.json_response({"price": round(random.uniform(1, 99), 2)})


async def _reviews(request: web.Request) -> web.Response:
    await request.app[MOOD].suffer()
    return web.json_response(["Works as drawn.", "The coyote returned it."])


async def _mood(request: web.Request) -> web.Response:
    wish = await request.json()
    mood = request.app[MOOD]
    mood.errors = float(wish.get("errors", mood.errors))
    mood.delay = float(wish.get("delay", mood.delay))
    return web.json_response({"served": mood.served})


_ROUTES = {
    "front": ("/", _front),
    "catalog": ("/items/{name}", _catalog),
    "orders": ("/orders/{id}", _orders),
    "prices": ("/prices/{name}", _prices),
    "reviews": ("/reviews/{name}", _reviews),
}


def make_app(service: str) -> web.Application:
    """The application of one service."""
    app = web.Application()
    app[MOOD] = Mood()
    app.router.add_get(*_ROUTES[service])
    app.router.add_post("/demo/mood", _mood)
    return app


def end_with_parent() -> None:
    """Leave when the parent is gone, however it went: its end of our standard input closes then."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def main() -> None:
    """Run one copy."""
    end_with_parent()
    service = sys.argv[1]
    run_app(make_app(service), service, drain=1.5, metadata={"version": "1.0.0"})


if __name__ == "__main__":
    main()
