"""What `resilient doctor` looks at across the network: where the registry is, and how it answers."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import aiohttp

from ..discovery.client import why
from ..discovery.locate import MDNS_WAIT, Located, answers, locate
from ..errors import RegistryError, RegistryUnknown, ResilientError, WireError
from ..settings import DEFAULT_REGISTRY, RegistryAddress, Settings
from .checkup import Check
from .estate import Estate, Reply, meaning, number, text
from .parser import source_name

#: Seconds of difference between two clocks that are worth a word, and that are too many.
CLOCK_NOTE, CLOCK_PROBLEM = 2.0, 60.0
#: An answer that takes longer than this many seconds is worth a word.
SLOW = 0.5


class Step(NamedTuple):
    """One place where a registry is looked for, and what came of it."""

    place: str
    outcome: str


async def reach(settings: Settings) -> tuple[list[Step], list[Check]]:
    """Look for the registry and ask it. Raises nothing."""
    probed: list[bool] = []

    async def probe(url: str) -> bool:
        probed.append(await answers(url))
        return probed[-1]

    try:
        located = await locate(settings, probe=probe)
    except RegistryUnknown as unknown:
        cure = "start one with 'resilient registry', or set RESILIENT_REGISTRY; circuits alone need none"
        checks = [Check("registry", "problem", "none found", cure)]
        mdns = unknown.tried[-1].partition(": ")[2]
        return search(settings, None, probed, mdns), checks
    steps = search(settings, located, probed, "")
    checks = [_found(located)]
    async with Estate(located, settings) as estate:
        for address in located.addresses:
            checks.extend(await _address(estate, address, settings))
        if checks[-1].level != "problem":
            checks.append(await _version(estate))
    return steps, checks


def search(settings: Settings, located: Located | None, probed: list[bool], mdns: str) -> list[Step]:
    """The search order with what each place gave. ``mdns`` is why that found nobody."""
    source = located.source if located is not None else ""
    asked = "not asked" if source in ("argument", *_VARIABLES) else ""
    steps = [Step("--registry", "given" if source == "argument" else "not given")]
    for name in _VARIABLES:
        earlier = source == "argument" or (name == _VARIABLES[1] and source == _VARIABLES[0])
        steps.append(Step(name, "set" if name == source else "not asked" if earlier else "not set"))
    here = asked or ("answers" if probed and probed[-1] else "no registry answers there")
    steps.append(Step(DEFAULT_REGISTRY, here))
    if asked or (probed and probed[-1]):
        network = "not asked"
    elif located is not None:
        network = "found"
    else:
        network = mdns or f"nobody answered within {MDNS_WAIT:g} s"
    steps.append(Step("mDNS", network))
    return steps


_VARIABLES = ("RESILIENT_REGISTRY", "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE")


def _found(located: Located) -> Check:
    urls = ", ".join(one.url for one in located.addresses)
    return Check("registry", "ok", f"{urls} ({source_name('registry', located.source)})")


async def _address(estate: Estate, address: RegistryAddress, settings: Settings) -> list[Check]:
    """Does this one answer, how fast, with what clock, and may we register there?"""
    several = len(estate.located.addresses) > 1
    at = f" {address.url}" if several else ""
    try:
        before = time.time()
        reply = await estate.greet(address)
        checks = [_answer(reply, at, settings)]
        clock = clock_check(reply, before, at)
        if clock is not None:
            checks.append(clock)
        status = await estate.knock(address)
    except (aiohttp.ClientError, OSError, TimeoutError, WireError) as error:
        cure = "is it running there? start one with 'resilient registry', or correct the address"
        return [Check(f"answer{at}", "problem", f"{address.url} does not answer: {why(error)}", cure)]
    checks.append(_registering(status, address, settings, at))
    return checks


def _answer(reply: Reply, at: str, settings: Settings) -> Check:
    milliseconds = f"{reply.seconds * 1000:.0f} ms"
    # A registry may have no deltas, and refuse them: it is there all the same.
    if reply.status in (200, 403, 404):
        slow = reply.seconds > SLOW
        return Check(
            f"answer{at}", "note" if slow else "ok", f"in {milliseconds}{', which is slow' if slow else ''}"
        )
    words = meaning(reply.status, given=bool(reply.address.authorization), source=settings.source("token"))
    problem, _, cure = words.partition("; ")
    return Check(
        f"answer{at}",
        "problem",
        f"status {reply.status} in {milliseconds}{': ' + problem if problem else ''}",
        cure or "is this a registry? its address ends with /eureka/",
    )


def clock_check(reply: Reply, before: float, at: str = "") -> Check | None:
    """How far the registry's clock is from ours, as far as its ``Date`` of whole seconds tells."""
    try:
        theirs = parsedate_to_datetime(reply.headers.get("Date", "")).timestamp() + 0.5
    except (ValueError, TypeError):
        return None
    difference = theirs - (before + reply.seconds / 2)
    if abs(difference) < CLOCK_NOTE:
        return Check(f"clock{at}", "ok", "as ours, to the second")
    words = f"{abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} ours"
    if abs(difference) < CLOCK_PROBLEM:
        return Check(f"clock{at}", "note", words)
    return Check(f"clock{at}", "problem", words, "let both machines keep time with NTP")


def _registering(status: int, address: RegistryAddress, settings: Settings, at: str) -> Check:
    name = f"registering{at}"
    if status in (401, 403, 429):
        words = meaning(status, given=bool(address.authorization), source=settings.source("token"))
        problem, _, cure = words.partition("; ")
        return Check(name, "problem", f"refused with status {status}: {problem}", cure)
    if status == 404 or 200 <= status < 300:
        words = "with the token" if address.authorization else "no token is needed"
        return Check(name, "ok", f"possible, {words}")
    return Check(name, "note", f"nobody can say: a heartbeat was answered with status {status}")


async def _version(estate: Estate) -> Check:
    try:
        node = await estate.tool("node")
    except (RegistryError, ResilientError) as error:
        return Check("version", "note", f"not told: {error}")
    if not isinstance(node, dict):
        return Check("version", "note", "another product's registry: no circuits, no live page")
    counts = node.get("counts")
    held = number(counts, "instances") if isinstance(counts, dict) else None
    words = f"resilient {text(node, 'version')[:32]}"
    if held is not None:
        words += f", {held:.0f} instances"
    if text(node, "mode") == "preserving":
        reason = text(node, "reason")
        return Check("version", "note", f"{words}; preserving instances: {reason}")
    return Check("version", "ok", words)
