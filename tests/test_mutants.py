"""The list of edits that the tests must notice is about the source as it is. `make mutants` tries them."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
assert spec is not None
assert spec.loader is not None
mutants = sys.modules["mutants"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutants)
MUTANTS = mutants.listed()


def test_there_are_many() -> None:
    assert len(MUTANTS) >= 40
    assert len({(one.file, one.was, one.now) for one in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_an_edit_applies_and_is_python(mutant) -> None:
    edited = mutant.apply((ROOT / "resilient" / mutant.file).read_text())
    ast.parse(edited)


@pytest.mark.parametrize("test", sorted({one.test for one in MUTANTS}))
def test_its_test_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    source = (ROOT / file).read_text()
    assert not name or f"def {name}(" in source
