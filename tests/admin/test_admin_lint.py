"""Each rule: what it finds, and that it leaves alone what is right."""

from __future__ import annotations

from typing import Any

import pytest
from admin_kit import Bench

from resilient.admin import lint
from resilient.admin.lint import RULES, Scene, Seen
from resilient.circuits.policy import CircuitPolicy
from resilient.circuits.snapshot import CircuitSnapshot
from resilient.model import Instance


def seen(policy: CircuitPolicy | None = None, **changes: Any) -> Seen:
    values: dict[str, Any] = {
        "name": "pay", "group": "", "target": "stock", "at": 0.0, "state": "closed", "since": 0.0,
        "window": 10.0, "counts": {}, "calls": 0, "error_rate": 0.0, "rate": 0.0, "in_flight": 0,
        "limit": 100, "timeout": 5.0, "min_calls": 20, "error_threshold": 0.5,
    }  # fmt: skip
    return Seen(CircuitSnapshot(**{**values, **changes}), policy or CircuitPolicy())


def copy(id: str = "a", **changes: Any) -> Instance:
    return Instance(**{"service": "stock", "id": id, "host": f"h-{id}", "port": 80, **changes})


REPORT = {"urls": ["http://a:1/", "http://b:1/"], "age_seconds": 1.0, "live": False}
REFUSING = {"success": 95, "rejected": 5}
TWICE = (copy("a", host="h"), copy("b", host="h"))
ZONED = (copy("a", zone="z"), copy("b", zone="z"))
OUT = {"instances": [{"state": "ejected"}, {"state": "healthy"}], "panic": False}
CASES: list[tuple[str, Any, Scene | None, Scene | None, str]] = [
    ("PX001", lint.times, Scene(circuits=[seen(CircuitPolicy(timeout=1, slow_duration=2))]),
     Scene(circuits=[seen(CircuitPolicy(timeout=2, slow_duration=1))]), "no call is ever slow"),
    ("PX001", lint.times, Scene(circuits=[seen(CircuitPolicy(timeout=2, trial_timeout=1))]),
     Scene(circuits=[seen()]), "trial"),
    ("PX001", lint.times,
     Scene(circuits=[seen(CircuitPolicy(reset_timeout=90, reset_multiplier=2))]), None, "reset_max"),
    ("PX003", lint.asleep, Scene(circuits=[seen(calls=5, error_rate=0.8, since=3600.0)]),
     Scene(circuits=[seen(calls=5, error_rate=0.8, since=3599.0)]), "80% of 5 calls"),
    ("PX004", lint.narrow, Scene(circuits=[seen(counts=REFUSING)]),
     Scene(circuits=[seen(counts={**REFUSING, "failure": 9})]), "5 of 100"),
    ("PX006", lint.named, Scene(circuits=[seen(name=f"user-{n}") for n in range(1001)]),
     Scene(circuits=[seen()] * 1000), "user-1000"),
    ("PX007", lint.alone, Scene(services={"stock": {}}, listed={"stock": (copy(),)}),
     Scene(services={"stock": {}}, listed={"stock": (copy(), copy("b"))}), "1 instance"),
    ("PX007", lint.alone, Scene(services={"stock": {}}, listed={"stock": TWICE}), None, "registered 2 times"),
    ("PX007", lint.alone, Scene(services={"stock": {}}, listed={"stock": ZONED}), None, "in zone z"),
    ("PX007", lint.alone,
     Scene(services={"stock": {}}, listed={"stock": (copy("a", metadata={"weight": "-1"}), copy("b"))}),
     Scene(services={"stock": {}}, listed={"stock": (copy("a", metadata={"weight": "2"}), copy("b"))}),
     "weight '-1'"),
    ("PX008", lint.ejected, Scene(services={"stock": OUT}),
     Scene(services={"stock": {**OUT, "instances": [*OUT["instances"], {"state": "healthy"}]}}), "1 of 2"),
    ("PX008", lint.ejected, Scene(services={"stock": {**OUT, "panic": True}}), None, "all are called"),
    ("PX009", lint.stale, Scene(discovery={**REPORT, "age_seconds": 16}),
     Scene(discovery=REPORT), "16 s ago"),
    ("PX009", lint.stale, Scene(discovery={**REPORT, "live": True, "age_seconds": 200}),
     Scene(discovery={**REPORT, "live": True, "age_seconds": 100}), "200 s ago"),
    ("PX009", lint.stale, Scene(discovery={**REPORT, "urls": ["http://a:1/"]}),
     Scene(discovery={**REPORT, "urls": ["http://127.0.0.1:1/"]}), "the only registry"),
    ("PX009", lint.stale, Scene(discovery=REPORT, credentials=True),
     Scene(discovery={**REPORT, "urls": ["https://a/", "https://b/"]}, credentials=True), "unencrypted"),
    ("PX010", lint.late, Scene(lags={"app": 0.2}), Scene(lags={"app": 0.1}), "200 ms late"),
    ("PX010", lint.late, Scene(circuits=[seen(abandoned=2)]), Scene(circuits=[seen()]), "2 threads"),
    ("PX011", lint.open_doors, Scene(exposed=[("0.0.0.0", False)]),
     Scene(exposed=[("127.0.0.1", False)]), "without a token"),
    ("PX011", lint.open_doors, Scene(exposed=[("10.0.0.1", True)]), None, "without TLS"),
    ("PX013", lint.forgotten, Scene(circuits=[seen(mode="open", mode_by="ann")]),
     Scene(circuits=[seen(mode="open", mode_left=5.0)]), "by ann without an end"),
    ("PX013", lint.forgotten,
     Scene(circuits=[seen(mode="closed", mode_left=9.0, since=90_000.0)]), None, "a day"),
    ("PX016", lint.unlocked, Scene(open_to="0.0.0.0"), Scene(), "register as any service"),
    ("PX015", lint.unread, Scene(unknown={"RESILIENT_PROT": "RESILIENT_PORT"}), Scene(), "did you mean"),
]  # fmt: skip


@pytest.mark.parametrize(("id", "look", "bad", "good", "says"), CASES)
def test_a_rule(id: str, look: Any, bad: Scene, good: Scene | None, says: str) -> None:
    (rule,) = [one for one in RULES if one.id == id]
    assert rule.look is look
    assert any(says in issue for issue in look(bad)), look(bad)
    assert look(good or Scene()) == []
    results = lint.run(bad)["lint_results"]
    assert id in [one["id"] for one in results["failed_rules"]]
    assert all(one["fix"] for one in results["failed_rules"])


def test_every_rule_has_a_case() -> None:
    assert {rule.id for rule in RULES} == {case[0] for case in CASES}


def test_the_shape_and_the_numbers() -> None:
    scene = Scene(circuits=[seen(name=f"c{n}", mode="open") for n in range(25)])
    results = lint.run(scene, ["PX007"])["lint_results"]
    assert results["metadata"] == {
        "num_rules_run": len(RULES) - 1,
        "num_rules_ok": len(RULES) - 2,
        "num_rules_failed": 1,
        "num_issues_found": 25,
    }
    (failed,) = results["failed_rules"]
    assert (failed["id"], len(failed["issues"]), failed["more"]) == ("PX013", 20, 5)
    assert {"category", "id", "name", "description", "issues"} <= set(failed)


async def test_the_page(bench: Bench) -> None:
    with bench.runtime.balancer.pick("stock"):
        pass
    said = (await bench.get("/admin/lint"))[1]
    assert said["lint_results"]["metadata"]["num_rules_run"] == len(RULES)
    assert (await bench.get("/admin/lint.json"))[1]["lint_results"].keys() == said["lint_results"].keys()
    assert "Nothing looks wrong." in (await bench.get("/admin/lint?format=text"))[1]
