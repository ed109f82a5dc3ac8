"""The numbered cases of what balancing has to do, each with the tests that are it."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
HERE = "\n".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")))

#: Cases that belong to the doors and the directory, or that several names share.
ELSEWHERE = {
    62: "doors/test_faults.py::test_what_a_generator_gave_is_not_sent_again",
    65: "discovery/test_tasks_directory.py"
    "::test_a_dead_registry_leaves_the_last_list_and_is_complained_about_once",
    66: "discovery/test_mirror.py::test_an_empty_answer_needs_three_in_a_row_from_two_registries",
    68: "doors/test_urls.py::test_path_and_query_arrive_as_they_were_written",
    70: "doors/test_urls.py::test_https_never_goes_out_in_plain",
    71: "doors/test_urls.py::test_other_hosts_are_called_directly_and_judged",
    72: "doors/test_urls.py::test_an_instance_with_an_ipv6_address",
    74: "doors/test_urls.py::test_a_redirect_to_another_service_is_balanced_there",
    76: "doors/test_in_circuits.py::test_a_refused_call_touches_no_instance",
}  # fmt: skip


@pytest.mark.parametrize("number", range(1, 79))
def test_each_case_has_its_test(number: int) -> None:
    if number in ELSEWHERE:
        file, name = ELSEWHERE[number].split("::")
        assert f"def {name}(" in (TESTS / file).read_text()
    else:
        assert re.search(rf"def test_case_{number:02}_", HERE), f"case {number} has no test"
