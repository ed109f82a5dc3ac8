import time

from hypothesis import given
from hypothesis import strategies as st
from scripted import one

from resilient.discovery.copy import Copy
from resilient.eureka.fingerprint import directory_hash
from resilient.model import Action, Directory, Instance

instances = st.builds(
    lambda id, service, status, port: one(id, service, status=status, port=port),
    st.sampled_from("abc"),
    st.sampled_from(["orders", "billing"]),
    st.sampled_from(["UP", "DOWN", "OUT_OF_SERVICE"]),
    st.integers(80, 82),
)
changes = st.lists(st.tuples(st.sampled_from(list(Action)), instances), max_size=8)


def members(directory: Directory) -> dict[tuple[str, str], Instance]:
    return {(x.service, x.id): x for listed in directory.services.values() for x in listed}


@given(st.lists(instances, max_size=6), st.lists(changes, max_size=4))
def test_it_does_what_a_directory_does(
    start: list[Instance], steps: list[list[tuple[Action, Instance]]]
) -> None:
    plain = Directory.of(start)
    copy = Copy(plain)
    for step in steps:
        before = copy.directory
        seen = members(before)
        for action, instance in step:
            copy.change(action, instance)
            plain = plain.apply([(action, instance)])
        touched = copy.done()
        assert members(copy.directory) == members(plain)
        assert copy.fingerprint == directory_hash(plain)
        assert members(before) == seen  # what was handed out stays as it was
        for name, listed in copy.directory.services.items():
            if name not in touched:
                assert listed is before.services[name]
            assert listed
        assert {name for name in before.services if name not in copy.directory.services} <= touched


def test_a_change_costs_no_more_in_a_large_directory() -> None:
    def cost(services: int) -> float:
        copy = Copy(
            Directory.of(one(f"i{i}", f"s{service}") for service in range(services) for i in range(20))
        )
        copy.change(Action.MODIFIED, one("i3", "s1", port=1))
        copy.done()
        best = float("inf")
        for port in range(2, 40):
            began = time.process_time()
            copy.change(Action.MODIFIED, one("i3", "s1", port=port))
            assert copy.done() == {"s1"}
            assert copy.fingerprint
            best = min(best, time.process_time() - began)
        return best

    # Twenty thousand instances against two hundred: a look at each would cost a hundred times as much.
    assert cost(1000) < 10 * cost(10)
