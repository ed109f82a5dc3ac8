"""The list of cases is whole, and the document is up to date."""

from __future__ import annotations

from listing import BEGIN, DOC, END, cases, renewed


def test_every_case_is_there() -> None:
    assert {case.number for case in cases()} == set(range(1, 101))


def test_names_and_levels_are_told_apart() -> None:
    found = cases()
    assert len({case.name for case in found}) == len(found)
    levels = {case.number: {one.level for one in found if one.number == case.number} for case in found}
    # As the specification tags them; a second level is that of a part with a tag of its own.
    assert levels[1] == {"M"}
    assert levels[43] == {"M", "S"}
    assert levels[50] == {"+"}
    assert levels[86] == {"S", "+"}
    required = {number for number, found_levels in levels.items() if "M" in found_levels}
    assert len(required) == 63


def test_the_document_is_up_to_date() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert renewed(text) == text, "run python -m tests.conformance.listing"
