"""What looks wrong in a running process, in words, with the cure. Each rule is a small function (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..circuits.policy import CircuitPolicy
from ..circuits.snapshot import CircuitSnapshot
from ..model import Instance
from ..web.trust import is_loopback_name

SEVERITIES = ("info", "warn", "error")
#: Issues of one rule that are listed.
LISTED = 20
#: Circuits of one process; more are made of data.
MOST_CIRCUITS = 1000


class Seen(NamedTuple):
    """One circuit: what it did lately and by which rules."""

    snapshot: CircuitSnapshot
    policy: CircuitPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that the rules look at. Durations are seconds."""

    circuits: Sequence[Seen] = ()
    #: `Balancer.report`'s services, and what the directory lists of each.
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    listed: Mapping[str, Sequence[Instance]] = field(default_factory=dict)
    #: What is between us and the registry; ``None`` if nobody looks.
    discovery: Mapping[str, Any] | None = None
    fetch_interval: float = 5.0
    credentials: bool = False
    #: p99 of the lag of each watched loop.
    lags: Mapping[str, float] = field(default_factory=dict)
    #: Where these pages listen beyond an application's port: (host, has a token).
    exposed: Sequence[tuple[str, bool]] = ()
    #: Where everybody who gets there may change something.
    open_to: str = ""
    #: ``RESILIENT_*`` variables that nobody reads, with what was probably meant.
    unknown: Mapping[str, str] = field(default_factory=dict)


Look = Callable[[Scene], list[str]]


class Rule(NamedTuple):
    """``severity`` is info, warn or error. ``fix`` says what to do."""

    id: str
    category: str
    name: str
    severity: str
    description: str
    fix: str
    look: Look


def times(scene: Scene) -> list[str]:
    """PX001: times of one circuit that contradict one another."""
    found = []
    for snapshot, policy in scene.circuits:
        name, timeout = snapshot.name, policy.timeout
        if timeout is not None and policy.slow_duration is not None and policy.slow_duration >= timeout:
            found.append(
                f"{name}: slow_duration {policy.slow_duration:g} s is not below timeout {timeout:g} s, "
                "so no call is ever slow"
            )
        if timeout is not None and policy.trial_timeout is not None and policy.trial_timeout < timeout:
            found.append(
                f"{name}: a trial has failed after trial_timeout {policy.trial_timeout:g} s, "
                f"but may run for timeout {timeout:g} s"
            )
        if policy.reset_multiplier > 1 and policy.reset_max < policy.reset_timeout:
            found.append(
                f"{name}: reset_max {policy.reset_max:g} s is below reset_timeout {policy.reset_timeout:g} s"
            )
    return found


def asleep(scene: Scene) -> list[str]:
    """PX003: it fails, and too few calls come for the circuit ever to open."""
    return [
        f"{one.name}: {one.error_rate:.0%} of {one.calls} calls failed in {one.window:g} s, "
        f"but min_calls is {one.min_calls}"
        for one, policy in scene.circuits
        if 0 < one.calls < one.min_calls
        and one.state == "closed"
        and policy.fail_max is None
        and one.error_rate >= one.error_threshold
        and one.since >= 3600
    ]


def narrow(scene: Scene) -> list[str]:
    """PX004: calls are refused for being too many at a time, while the service is well."""
    found = []
    for one, _ in scene.circuits:
        rejected = one.counts.get("rejected", 0)
        made = sum(one.counts.get(word, 0) for word in ("success", "failure", "timeout"))
        bad = one.counts.get("failure", 0) + one.counts.get("timeout", 0)
        asked = made + rejected
        if asked >= 100 and rejected > asked / 100 and bad < made / 100:
            found.append(
                f"{one.name}: {rejected} of {asked} calls were refused by max_concurrent {one.limit}, "
                "while nearly none of the others failed"
            )
    return found


def named(scene: Scene) -> list[str]:
    """PX006: names that seem to be made of data."""
    many = len(scene.circuits)
    if many <= MOST_CIRCUITS:
        return []
    example = scene.circuits[-1].snapshot.name[:80]
    return [f"{many} circuits, such as {example!r}: each one has a memory and a series of its own"]


def alone(scene: Scene) -> list[str]:
    """PX007: nobody to go to when it fails; one address twice; a weight that counts for nothing."""
    found = []
    for service in sorted(scene.services):
        listed = scene.listed.get(service, ())
        if len(listed) == 1:
            found.append(f"{service} has 1 instance: when it fails, nobody is left")
        zones = {one.zone for one in listed}
        if len(listed) > 1 and len(zones) == 1 and zones != {"default"}:
            found.append(f"{service}: all {len(listed)} instances are in zone {next(iter(zones))}")
        for url, times_ in Counter(one.url for one in listed).items():
            if times_ > 1:
                found.append(f"{service}: {url} is registered {times_} times")
        for one in listed:
            weight = one.metadata.get("weight")
            if weight is not None and not _weight(weight):
                found.append(f"{service}: {one.id} has weight {weight[:40]!r}, which counts as 1")
    return found


def _weight(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False


def ejected(scene: Scene) -> list[str]:
    """PX008: half of a service is left alone, or so much that all are called."""
    found = []
    for service, one in sorted(scene.services.items()):
        rows = one.get("instances", ())
        out = sum(row.get("state") == "ejected" for row in rows)
        if one.get("panic"):
            found.append(f"{service}: too few instances are well, so all are called, the ill ones too")
        elif rows and out * 2 >= len(rows):
            found.append(f"{service}: {out} of {len(rows)} instances are ejected")
    return found


def stale(scene: Scene) -> list[str]:
    """PX009: what is known of the registry is old, hangs on one server, or the token travels in the open."""
    found: list[str] = []
    report = scene.discovery
    if report is None:
        return found
    age, every = report.get("age_seconds"), scene.fetch_interval
    if report.get("live"):
        every = max(every, 60.0)  # the feed tells; it is asked once a minute only
    if age is not None and age > 3 * every:
        found.append(f"the directory was last confirmed {age:.0f} s ago, more than three intervals")
    urls = [str(url) for url in report.get("urls", ())]
    remote = [url for url in urls if not is_loopback_name(urlsplit(url).hostname or "")]
    if len(urls) == 1 and remote:
        found.append(f"{urls[0]} is the only registry: while it is away, nobody new is found")
    found += [
        f"the token travels to {url} unencrypted"
        for url in remote
        if scene.credentials and url.startswith("http://")
    ]
    return found


def late(scene: Scene) -> list[str]:
    """PX010: something blocks the loop, or threads work on for callers who have left."""
    found = [
        f"the event loop {name} is up to {lag * 1000:.0f} ms late (p99 of a minute): something blocks it"
        for name, lag in sorted(scene.lags.items())
        if lag > 0.1
    ]
    found += [
        f"{one.name}: {one.abandoned} threads work on for callers who have left"
        for one, _ in scene.circuits
        if one.abandoned > 0
    ]
    return found


def open_doors(scene: Scene) -> list[str]:
    """PX011: these pages can be reached from elsewhere."""
    found = []
    for host, has_token in scene.exposed:
        if is_loopback_name(host):
            continue
        if not has_token:
            found.append(f"the admin pages listen on {host} without a token: strangers only get health")
        else:
            found.append(f"the admin pages listen on {host} without TLS: the token can be overheard")
    return found


def forgotten(scene: Scene) -> list[str]:
    """PX013: a circuit that is held by hand for good, or for more than a day already."""
    found = []
    for one, _ in scene.circuits:
        if one.mode == "auto":
            continue
        by = f" by {one.mode_by}" if one.mode_by else ""
        why = f": {one.mode_reason}" if one.mode_reason else ""
        if one.mode_left is None:
            found.append(f"{one.name} is held {one.mode}{by} without an end{why}")
        elif one.since > 86_400:
            found.append(f"{one.name} is held {one.mode}{by} for more than a day{why}")
    return found


def unlocked(scene: Scene) -> list[str]:
    """PX016: a registry beyond this machine that takes what anybody tells it."""
    if not scene.open_to:
        return []
    return [f"it listens on {scene.open_to} without a token: whoever gets there may register as any service"]


def unread(scene: Scene) -> list[str]:
    """PX015: settings in the environment that nobody reads."""
    return [
        f"{name} is read by nobody{f'; did you mean {meant}?' if meant else ''}"
        for name, meant in sorted(scene.unknown.items())
    ]


RULES: tuple[Rule, ...] = (
    Rule("PX001", "config", "times that contradict", "warn", "Times of one circuit do not fit together.",
         "set slow_duration below timeout, trial_timeout not below it, reset_max above reset_timeout", times),
    Rule("PX003", "config", "circuit that cannot open", "warn",
         "Most calls fail, but fewer come than the circuit wants to see.",
         "lower min_calls, widen window, or set fail_max", asleep),
    Rule("PX004", "config", "limit too low", "warn",
         "More than one call in a hundred is refused by the limit, and the service is well.",
         "raise max_concurrent", narrow),
    Rule("PX006", "naming", "names made of data", "warn", "There are more circuits than anybody wrote down.",
         "leave ids, paths and tenants out of circuit names", named),
    Rule("PX007", "balancer", "nobody to go to", "info", "A service has too little behind it.",
         "run a second instance, in another zone; give each an address of its own, and a weight of 0 or more",
         alone),
    Rule("PX008", "balancer", "half of a service is out", "error", "Many instances fail for this process.",
         "look at /admin/instances for the reasons, and at those instances", ejected),
    Rule("PX009", "registry", "weak link to the registry", "warn",
         "The directory is old, or hangs on little.",
         "see that a registry answers; name two in RESILIENT_REGISTRY; reach them by https", stale),
    Rule("PX010", "runtime", "something blocks", "warn", "The event loop is late, or threads hang.",
         "take a profile; move blocking calls to threads; give blocking calls a timeout of their own", late),
    Rule("PX011", "security", "admin pages in the open", "warn",
         "These pages listen beyond this machine.",
         "listen on 127.0.0.1, or set RESILIENT_ADMIN_TOKEN and put a proxy with TLS in front", open_doors),
    Rule("PX013", "manual", "held by hand", "warn", "Somebody turned a circuit by hand and left it so.",
         "POST {\"action\": \"auto\"} to the circuit, or hold it with a ttl", forgotten),
    Rule("PX016", "security", "registry open to all", "warn",
         "Anybody who reaches it may register, and be called.",
         "set RESILIENT_REGISTRY_TOKEN, or listen on 127.0.0.1", unlocked),
    Rule("PX015", "config", "setting without effect", "warn",
         "A variable looks like one of ours and is none.", "correct its name, or remove it", unread),
)  # fmt: skip


def count(scene: Scene) -> dict[str, int]:
    """How many issues there are, by severity."""
    found = dict.fromkeys(SEVERITIES, 0)
    for rule in RULES:
        found[rule.severity] += len(rule.look(scene))
    return found


def run(scene: Scene, skip: Sequence[str] = ()) -> dict[str, Any]:
    """All rules but those in ``skip``, in the shape that twitter-server's lint has."""
    failed: list[dict[str, Any]] = []
    well: list[dict[str, Any]] = []
    found_in_all = 0
    for rule in RULES:
        if rule.id in skip:
            continue
        issues = rule.look(scene)
        found_in_all += len(issues)
        row: dict[str, Any] = {
            "category": rule.category,
            "id": rule.id,
            "name": rule.name,
            "severity": rule.severity,
            "description": rule.description,
        }
        if issues:
            more = {"more": len(issues) - LISTED} if len(issues) > LISTED else {}
            failed.append({**row, "fix": rule.fix, "issues": issues[:LISTED], **more})
        else:
            well.append({**row, "issues": []})
    return {
        "lint_results": {
            "metadata": {
                "num_rules_run": len(failed) + len(well),
                "num_rules_ok": len(well),
                "num_rules_failed": len(failed),
                "num_issues_found": found_in_all,
            },
            "failed_rules": failed,
            "ok_rules": well,
        }
    }
