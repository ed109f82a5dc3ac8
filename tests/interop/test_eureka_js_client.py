"""eureka-js-client 4.5.0, the usual Eureka client of Node.js, against a real registry process."""

from __future__ import annotations

import json

import pytest
from interop_kit import FULL, http, js_program, py_caller, py_service, soon
from process_kit import registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90, func_only=True), pytest.mark.usefixtures("js")]


def test_registers_renews_returns_and_signs_out() -> None:
    with registry() as reg, js_program(reg.port, "js-billing") as client:
        started = client.answer("start")
        assert started["error"] is None  # it takes nothing but 204 for a registration
        port = started["port"]
        assert [one["url"] for one in reg.services()["js-billing"]] == [f"http://127.0.0.1:{port}"]

        # It renews, and takes nothing but 200 for a heartbeat.
        soon(lambda: client.ask("count")["heartbeat"] >= 3)
        assert client.ask("count")["registered"] == 1
        assert reg.services()["js-billing"][0]["renewed_ago"] < 1.5

        # The registry forgets everything: the next heartbeat gets 404, and it registers again.
        reg.kill()
        reg.restart()
        soon(lambda: reg.urls("js-billing") == [f"http://127.0.0.1:{port}"])
        soon(lambda: client.ask("count")["registered"] == 2)
        before = client.ask("count")["heartbeat"]
        soon(lambda: client.ask("count")["heartbeat"] >= before + 2)
        assert client.ask("count")["registered"] == 2

        # It signs out, and takes nothing but 200 for that.
        assert client.ask("stop")["error"] is None
        assert "js-billing" not in reg.services()
        status, _, body = http("GET", f"{reg.url}apps/JS-BILLING")
        assert (status, body) == (404, b"")


@pytest.mark.parametrize("words", [("delta",), ()][: 1 + FULL], ids=["delta", "full"][: 1 + FULL])
def test_finds_python_services_as_they_come_and_go(words: tuple[str, ...]) -> None:
    with registry() as reg, js_program(reg.port, "js-shop", *words) as client:
        assert client.answer("start")["error"] is None
        assert client.ask("known orders") == {"did": "known", "byApp": [], "byVip": [], "ports": []}

        # In delta mode these two are seen through nothing but deltas.
        with py_service(reg.url, "orders", RESILIENT_FETCH_INTERVAL="0.1") as orders:
            orders.line(lambda line: "listens on" in line)
            listed = soon(lambda: reg.services().get("orders"))
            known = soon(lambda: (found := client.ask("known orders"))["byApp"] and found)
            assert known["byApp"] == known["byVip"] == [listed[0]["id"]]
            assert known["ports"] == [int(listed[0]["url"].rsplit(":", 1)[1])]

            answer = client.ask("call orders /orders/7")
            assert answer["status"] == 200
            assert json.loads(answer["body"])["path"] == "/orders/7"

            assert orders.end() == 0
            soon(lambda: client.ask("known orders")["byApp"] == [])

        assert client.ask("known js-shop")["byApp"] != []
        assert client.ask("stop")["error"] is None


def test_python_calls_it_by_name_also_when_it_is_configured_the_old_way() -> None:
    with (
        registry() as reg,
        js_program(reg.port, "js-stock", "plain") as client,  # the port as a number, no class of data centre
        py_caller(reg.url) as caller,
    ):
        assert client.answer("start")["error"] is None
        caller.answer("ready")
        soon(lambda: "js-stock" in caller.ask("known")["services"])
        answer = caller.ask("call js-stock /stock/anvil")
        assert answer["status"] == 200
        assert json.loads(answer["body"]) == {"from": "js-stock", "path": "/stock/anvil"}
