"""Events of many processes as one, by the rules that Hystrix's own page and other Turbines expect."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hystrix_kinds import kinds

from resilient.circuits.latency import Histogram
from resilient.telemetry.hystrix import Facts, command
from resilient.telemetry.turbine import Sum, gone, total

COUNTS = ("success", "failure", "timeout", "short_circuited", "excluded")


def event(**told):
    seen = Facts("orders", "shop", 2e9, "closed", {}, 0, 0, 0, 0, Histogram())
    return command(seen._replace(**told))


def test_W97_two_hosts_of_which_one_is_open() -> None:
    whole = total(
        [
            event(state="open", counts={"failure": 20, "short_circuited": 7}, calls=20, errors=20),
            event(counts={"success": 80}, calls=80),
        ]
    )
    assert whole["isCircuitBreakerOpen"] == {"true": 1, "false": 1}
    assert whole["reportingHosts"] == 2
    assert whole["requestCount"] == 100
    assert whole["errorPercentage"] == 100  # the page divides it by the hosts
    # What the page shows as the rate of the cluster and of a host: the window is one host's.
    window = whole["propertyValue_metricsRollingStatisticalWindowInMilliseconds"] / 1000
    assert (whole["requestCount"] / window, whole["requestCount"] / window / 2) == (10.0, 5.0)


def test_of_one_mind_an_event_keeps_every_field_and_type() -> None:
    assert kinds(total([event(), event()])) == kinds(event())
    assert list(total([event(), event()])) == list(event())


def test_settings_that_differ_show_what_most_have_and_the_rest_beside() -> None:
    whole = total([event(timeout=1.0), event(timeout=2.0), event(timeout=2.0)])
    assert whole["propertyValue_executionTimeoutInMilliseconds"] == 2000
    mixed = json.loads(whole["x_mixed"])
    assert mixed["propertyValue_executionTimeoutInMilliseconds"] == {"1000": 1, "2000": 2}
    tie = total([event(min_calls=9), event(min_calls=20)])
    assert tie["propertyValue_circuitBreakerRequestVolumeThreshold"] == 20
    named = total([event(thread_pool="a"), event()])
    assert named["propertyValue_executionIsolationThreadPoolKeyOverride"] == "a"


def test_words_are_those_of_the_most() -> None:
    states = [event(state=state)["x_state"] for state in ("open", "closed", "closed")]
    assert states == ["OPEN", "CLOSED", "CLOSED"]
    assert total([event(state=one) for one in ("open", "closed", "closed")])["x_state"] == "CLOSED"


def test_a_pools_window_grows_with_its_hosts_since_the_page_divides_by_them() -> None:
    window = "propertyValue_metricsRollingStatisticalWindowInMilliseconds"
    pool = {"type": "HystrixThreadPool", "name": "a", "currentActiveCount": 2, window: 10000}
    whole = total([{**pool, "reportingHosts": 1}, {**pool, "reportingHosts": 1}])
    assert (whole[window], whole["currentActiveCount"], whole["reportingHosts"]) == (20000, 4, 2)


#: As a real Turbine 1.0 told of two of our processes.
FROM_TURBINE = {
    "type": "HystrixCommand",
    "name": "orders",
    "reportingHosts": 2,
    "rollingCountSuccess": 443,
    "isCircuitBreakerOpen": '{"false":1,"true":1}',
    "x_state": '{"CLOSED":1,"OPEN":1}',
    "propertyValue_circuitBreakerForceOpen": "false",
    "latencyExecute": {"0": 2, "99": 4},
}


@pytest.mark.parametrize("text", ['{"false":1,"true":1}', "{false=1, true=1}", "{false:1,true:1}"])
def test_what_another_turbine_has_added_up_can_be_added_up_again(text) -> None:
    other = {**FROM_TURBINE, "isCircuitBreakerOpen": text}
    whole = total([other, {**FROM_TURBINE, "reportingHosts": 1, "isCircuitBreakerOpen": True}])
    assert whole["isCircuitBreakerOpen"] == {"true": 2, "false": 1}
    assert whole["reportingHosts"] == 3
    assert whole["rollingCountSuccess"] == 886
    assert whole["latencyExecute"] == {"0": 4, "99": 8}
    assert total([{**other, "isCircuitBreakerOpen": {"true": 3}}])["isCircuitBreakerOpen"] is True


@pytest.mark.parametrize(
    "hostile", ["{", "{}", "{a}", "{" + "x" * 9999, '{"a":-1}', float("nan"), [1], 1e300]
)
def test_nonsense_from_others_hurts_nobody(hostile) -> None:
    for field in ("isCircuitBreakerOpen", "requestCount", "latencyExecute", "propertyValue_x", "group"):
        json.dumps(total([event(), {**event(), field: hostile}]), allow_nan=False)


HOST = st.builds(
    lambda counts, state, limit: event(
        counts=counts, state=state, timeout=limit, calls=sum(counts.values()), errors=counts["failure"]
    ),
    st.fixed_dictionaries({name: st.integers(0, 1000) for name in COUNTS}),
    st.sampled_from(["closed", "open", "half-open"]),
    st.sampled_from([1.0, 2.0, None]),
)


@given(st.lists(HOST, min_size=1, max_size=6), st.randoms())
def test_W98_sums_are_never_negative_and_do_not_depend_on_the_order(hosts, random) -> None:
    while hosts:
        whole = total(hosts)
        assert whole["rollingCountSuccess"] == sum(one["rollingCountSuccess"] for one in hosts)
        assert all(value >= 0 for value in whole.values() if isinstance(value, int))
        opened = Counter(one["isCircuitBreakerOpen"] for one in hosts)
        expected = {"true": opened[True], "false": opened[False]} if len(opened) == 2 else bool(opened[True])
        assert whole["isCircuitBreakerOpen"] == expected
        shuffled = random.sample(hosts, len(hosts))
        assert total(shuffled) == whole
        hosts.pop(random.randrange(len(hosts)))


def test_farewell() -> None:
    assert gone(event()) == {"type": "HystrixCommand", "name": "orders", "deleteData": "true"}


ANY = st.one_of(
    st.integers(-5, 5),
    st.just(10**19),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=True),
    st.sampled_from(["a", "b", "", '{"true":1,"false":2}', "{"]),
    st.dictionaries(st.sampled_from(["0", "50", "true", "false"]), st.one_of(st.integers(0, 9), st.none())),
)
FIELDS = ("a", "b", "propertyValue_a", "propertyValue_b", "currentTime", "reportingHosts", "x_openForMs")


@settings(max_examples=50)
@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS[:3], ANY), optional=dict.fromkeys(FIELDS[3:], ANY))),
    st.booleans(),
)
def test_events_that_are_alike_add_up_to_what_looking_at_each_value_gives(frames, alone) -> None:
    frames = [{"type": "HystrixCommand", "name": "x", **one} for one in frames]
    if alone:
        frames = [{**one, "reportingHosts": 1} for one in frames]
    quick, slow = Sum(), Sum()
    for one in frames:
        quick.add(one)
        slow.add(one)
        slow._apart()
    assert repr(quick.result()) == repr(slow.result())


def test_more_alike_than_are_kept_are_added_one_by_one() -> None:
    frames = [event(counts={"success": n}, calls=n) for n in range(300)]
    assert total(frames)["rollingCountSuccess"] == sum(range(300))
    assert total(frames)["reportingHosts"] == 300
    assert total([*frames, total(frames)])["reportingHosts"] == 600
