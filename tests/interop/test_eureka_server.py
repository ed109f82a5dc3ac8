"""Netflix's own Eureka server, as Spring Cloud ships it: Python services and callers use it as their registry."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from interop_kit import (
    JavaProgram,
    eureka_apps,
    eureka_server,
    eureka_url,
    free_port,
    http,
    py_caller,
    py_service,
    soon,
)
from process_kit import registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("java")]

#: Eureka's server removes an instance two durations after its last heartbeat: four seconds.
SHORT = {"RESILIENT_RENEW_EVERY": "1", "RESILIENT_EXPIRE_AFTER": "2"}


def _listed(server: JavaProgram, app: str) -> list[dict[str, Any]]:
    return eureka_apps(eureka_url(server)).get(app, [])


def test_python_registers_renews_is_found_survives_a_restart_and_signs_out() -> None:
    port = free_port()
    with eureka_server(port) as server:
        url = eureka_url(server)
        with (
            py_service(url, "orders", **SHORT) as orders,
            py_service(url, "orders", **SHORT) as doomed,
            py_caller(url) as caller,
        ):
            caller.answer("ready")
            both = soon(lambda: len(found := _listed(server, "ORDERS")) == 2 and found)
            assert {one["status"] for one in both} == {"UP"}
            assert {one["leaseInfo"]["durationInSecs"] for one in both} == {2}
            soon(lambda: len(caller.ask("known")["services"].get("orders", [])) == 2)

            answers = [caller.ask("call orders /orders/7") for _ in range(20)]
            assert {one["status"] for one in answers} == {200}
            assert {json.loads(one["body"])["pid"] for one in answers} == {orders.popen.pid, doomed.popen.pid}

            # One renews and stays, the other is killed without a word: the server evicts it, callers learn.
            doomed.kill()
            soon(lambda: len(_listed(server, "ORDERS")) == 1)
            soon(lambda: len(caller.ask("known")["services"]["orders"]) == 1)
            until = time.monotonic() + 6
            while time.monotonic() < until:
                assert len(_listed(server, "ORDERS")) == 1
                time.sleep(0.3)
            assert caller.ask("call orders /orders/7")["status"] == 200

            # The server goes away: what was read last is used meanwhile.
            server.kill()
            time.sleep(1.5)
            assert caller.ask("call orders /orders/7")["status"] == 200

            # It comes back, empty: the service registers again, and the caller takes the new list.
            with eureka_server(port) as server:
                again = soon(lambda: _listed(server, "ORDERS"), 45)
                assert [one["instanceId"] for one in again] == [
                    one["instanceId"] for one in both if one["port"]["$"] == again[0]["port"]["$"]
                ]
                soon(lambda: len(caller.ask("known")["services"].get("orders", [])) == 1)
                assert caller.ask("call orders /orders/7")["status"] == 200

                # An operator takes it out of service there: nobody calls it, and it stays so.
                one = again[0]["instanceId"]
                assert http("PUT", f"{url}apps/ORDERS/{one}/status?value=OUT_OF_SERVICE")[0] == 200
                soon(lambda: caller.ask("known")["services"]["orders"][0]["status"] == "OUT_OF_SERVICE")
                assert "NoInstance" in caller.ask("call orders /orders/7")["error"]
                time.sleep(2.5)
                assert _listed(server, "ORDERS")[0]["status"] == "OUT_OF_SERVICE"
                assert http("DELETE", f"{url}apps/ORDERS/{one}/status?value=UP")[0] == 200
                soon(lambda: caller.ask("known")["services"]["orders"][0]["status"] == "UP")

                assert orders.end(20) == 0
                assert _listed(server, "ORDERS") == []
                soon(lambda: "orders" not in caller.ask("known")["services"])


def test_it_replicates_to_us() -> None:
    """With our registry for its peer: what is registered there is listed here, as long as it lives."""
    with (
        registry() as reg,
        eureka_server(
            eureka__instance__hostname="elsewhere",  # else it takes a peer on its own host for itself
            eureka__client__service_url__defaultZone=reg.url,
        ) as server,
        py_service(eureka_url(server), "orders", RESILIENT_RENEW_EVERY="1", RESILIENT_EXPIRE_AFTER="3") as orders,
    ):
        listed = soon(lambda: reg.services().get("orders"))
        assert listed[0]["url"] == orders.line(lambda line: "listens on" in line).rsplit(" ", 1)[1]

        # Heartbeats are told onward too: it stays longer than its lease.
        until = time.monotonic() + 6
        while time.monotonic() < until:
            assert len(reg.urls("orders")) == 1
            time.sleep(0.3)

        # Ours forgets everything: it answers the next heartbeat with 404, and the peer sends the instance.
        reg.kill()
        reg.restart()
        soon(lambda: len(reg.urls("orders")) == 1)

        one = listed[0]["id"]
        assert http("PUT", f"{eureka_url(server)}apps/ORDERS/{one}/status?value=OUT_OF_SERVICE")[0] == 200
        soon(lambda: reg.services()["orders"][0]["status"] == "OUT_OF_SERVICE")
        assert http("DELETE", f"{eureka_url(server)}apps/ORDERS/{one}/status?value=UP")[0] == 200
        soon(lambda: reg.services()["orders"][0]["status"] == "UP")

        orders.end(20)
        soon(lambda: "orders" not in reg.services())
