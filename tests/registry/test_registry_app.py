"""The registry put together: what its parts do for each other."""

import aiohttp

from registry_server.app import running
from registry_server.settings import Settings

PUSH = {
    "service": "shop",
    "instance": "h:shop:1",
    "worker": "w1",
    "interval": 5,
    "circuits": [{"name": "pay", "state": "closed", "counts": {"success": 3}}],
}
RECORD = {
    "instance": {
        "instanceId": "h:shop:1",
        "hostName": "h",
        "app": "SHOP",
        "ipAddr": "127.0.0.1",
        "dataCenterInfo": {"name": "MyOwn"},
    }
}


async def test_the_circuits_of_who_signs_out_are_forgotten_at_once() -> None:
    async with running() as registry, aiohttp.ClientSession(registry.url) as http:
        assert (await http.post("apps/SHOP", json=RECORD)).status == 204
        root = registry.url.removesuffix("eureka/")
        assert (await http.post(f"{root}resilient/v1/circuits", json=PUSH)).status == 204
        assert [row["name"] for row in registry.board.view()] == ["pay"]
        assert (await http.delete("apps/SHOP/h:shop:1")).status == 200
        assert registry.board.view() == []


async def test_a_read_token_closes_the_page_and_its_stream_too() -> None:
    settings = Settings(port=0, token="a-token-of-some-length", read_token="a-reading-token-123")
    async with running(settings) as registry, aiohttp.ClientSession() as http:
        root = registry.url.removesuffix("eureka/")
        for path in ("ui/", "ui/stream", "resilient/v1/services", "eureka/apps"):
            async with http.get(root + path) as answer:
                assert answer.status == 401, path
        known = {"Authorization": "Bearer a-reading-token-123"}
        async with http.get(root + "ui/", headers=known) as answer:
            assert answer.status == 200


async def test_browsers_are_led_to_the_page_and_others_are_told_what_this_is() -> None:
    async with running() as registry, aiohttp.ClientSession() as http:
        root = registry.url.removesuffix("eureka/")
        async with http.get(root, headers={"Accept": "text/html"}, allow_redirects=True) as answer:
            assert answer.url.path == "/ui/"
            assert answer.status == 200
        async with http.get(root) as answer:
            assert "resilient registry" in await answer.text()
