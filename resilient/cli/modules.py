"""Are the modules that will be imported ours?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

#: What one wheel ships.
OURS = ("resilient", "registry_server", "dashboard")


def home() -> Path:
    """The directory this package was imported from."""
    return Path(__file__).resolve().parents[2]


def shadow(name: str) -> str:
    """One line about a foreign module that stands before ours, ``""`` if ours is found."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return f"the module {name!r} is missing; run: pip install --force-reinstall resilient-sidecar"
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""]
    if any(place and Path(place).resolve().is_relative_to(home() / name) for place in places):
        return ""
    where = next((place for place in places if place), "?")
    return (
        f"another module {name!r} stands before ours ({where}); "
        "rename it, or start from another directory with the 'resilient' command"
    )
