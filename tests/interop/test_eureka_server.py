"""Netflix's own Eureka server, as Spring Cloud ships it, in the place of our registry."""

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
    our_registry,
    py_caller,
    py_service,
    soon,
)
from process_kit import registry
from relay import relay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300, func_only=True), pytest.mark.usefixtures("java")]

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
        py_service(
            eureka_url(server), "orders", RESILIENT_RENEW_EVERY="1", RESILIENT_EXPIRE_AFTER="3"
        ) as orders,
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


def test_it_and_ours_are_peers_of_each_other() -> None:
    """Each has the other for its peer: who registers at one is found through both."""
    ours, theirs = free_port(), free_port()
    our_url = f"http://127.0.0.1:{ours}/eureka/"
    properties = {
        "eureka__instance__hostname": "elsewhere",
        "eureka__client__service_url__defaultZone": our_url,
    }
    with eureka_server(theirs, **properties) as server:
        their_url = eureka_url(server)

        def both(app: str) -> list[list[str]]:
            return [[one["status"] for one in eureka_apps(url).get(app, [])] for url in (our_url, their_url)]

        def id_of(app: str) -> str:
            return str(eureka_apps(our_url)[app][0]["instanceId"])

        with (
            py_service(their_url, "stock", RESILIENT_RENEW_EVERY="1", RESILIENT_EXPIRE_AFTER="4") as stock,
            py_caller(our_url) as caller,
        ):
            soon(lambda: _listed(server, "STOCK"))
            with our_registry("--peers", their_url, port=ours):
                # What was there before we came is there when we answer for the first time.
                soon(lambda: list(eureka_apps(our_url)) == ["STOCK"])
                with py_service(
                    our_url, "orders", RESILIENT_RENEW_EVERY="1", RESILIENT_EXPIRE_AFTER="4"
                ) as orders:
                    soon(lambda: both("ORDERS") == [["UP"], ["UP"]])
                    caller.answer("ready", 30)
                    soon(lambda: set(caller.ask("known")["services"]) == {"orders", "stock"})
                    assert caller.ask("call stock /stock/anvil")["status"] == 200

                    # Heartbeats are told onward in both directions: nobody's lease runs out.
                    until = time.monotonic() + 10
                    while time.monotonic() < until:
                        assert both("ORDERS") == both("STOCK") == [["UP"], ["UP"]]
                        time.sleep(0.3)

                    # An operator's word to one is heard by the other.
                    for app, url in (("ORDERS", our_url), ("ORDERS", their_url), ("STOCK", our_url)):
                        path = f"{url}apps/{app}/{id_of(app)}/status"
                        assert http("PUT", f"{path}?value=OUT_OF_SERVICE")[0] == 200
                        soon(lambda: both(app) == [["OUT_OF_SERVICE"], ["OUT_OF_SERVICE"]])
                        assert http("DELETE", f"{path}?value=UP")[0] == 200
                        soon(lambda: both(app) == [["UP"], ["UP"]])

                    # It is killed, comes back empty, and is told about who only speaks with us.
                    server.kill()
                    with eureka_server(theirs, **properties) as server:
                        soon(lambda: both("ORDERS") == both("STOCK") == [["UP"], ["UP"]], 45)
                        assert orders.end(20) == 0
                        soon(lambda: both("ORDERS") == [[], []])
                        assert stock.end(20) == 0
                        soon(lambda: both("STOCK") == [[], []])


def test_a_cut_of_a_minute_between_the_peers_heals() -> None:
    """Neither refused nor answered for sixty seconds, both ways; then both list the same again.

    An override taken back meanwhile is none any more, though theirs remembers it longer than the instance.
    """
    ours, theirs = free_port(), free_port()
    our_url = f"http://127.0.0.1:{ours}/eureka/"
    with relay(ours) as to_us, relay(theirs) as to_them:
        properties = {
            "eureka__instance__hostname": "elsewhere",
            "eureka__client__service_url__defaultZone": f"http://127.0.0.1:{to_us.port}/eureka/",
        }
        peer = f"http://127.0.0.1:{to_them.port}/eureka/"
        with (
            eureka_server(theirs, **properties) as server,
            our_registry("--peers", peer, "--peer-wait", "5", port=ours),
            py_service(eureka_url(server), "stock", **SHORT) as stock,
            py_service(our_url, "orders", **SHORT),
        ):

            def both(app: str) -> list[int]:
                return [len(eureka_apps(url).get(app, [])) for url in (our_url, eureka_url(server))]

            def statuses() -> list[str]:
                return [eureka_apps(url)["ORDERS"][0]["status"] for url in (our_url, eureka_url(server))]

            soon(lambda: both("ORDERS") == both("STOCK") == [1, 1], 45)
            override = f"{our_url}apps/ORDERS/{eureka_apps(our_url)['ORDERS'][0]['instanceId']}/status"
            assert http("PUT", f"{override}?value=OUT_OF_SERVICE")[0] == 200
            soon(lambda: statuses() == ["OUT_OF_SERVICE"] * 2)
            to_us.cut()
            to_them.cut()
            assert http("DELETE", f"{override}?value=UP")[0] == 200
            end = time.monotonic() + 60
            with py_service(our_url, "news", **SHORT):
                soon(lambda: both("NEWS") == [1, 0])
                # Each side keeps serving, with all who speak to it; the others' leases run out there.
                soon(lambda: both("ORDERS") == [1, 0] and both("STOCK") == [0, 1], 45)
                while time.monotonic() < end:
                    assert both("ORDERS")[0] == both("STOCK")[1] == both("NEWS")[0] == 1
                    time.sleep(0.5)
                to_us.heal()
                to_them.heal()
                soon(lambda: both("ORDERS") == both("STOCK") == both("NEWS") == [1, 1], 60)
                soon(lambda: statuses() == ["UP"] * 2, 10)
                time.sleep(2.5)
                assert statuses() == ["UP"] * 2
                assert stock.end(20) == 0
                soon(lambda: both("STOCK") == [0, 0])
