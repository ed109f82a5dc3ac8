"""What a page says, text by text, and the words its numbers should have: written anew, not the page's own."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from itertools import zip_longest
from math import floor

DASH = "–"
#: The page's own clock stands still: ages are those of the last tick, to the millisecond.
STANDING = "performance.now = () => 1e6;"

# Texts as they are read aloud: a picture's name in its place, and nothing that is not shown.
_SAYS = """
const shown = node => node.checkVisibility() || getComputedStyle(node).display === 'contents';
const says = root => {
  const out = [];
  const walk = node => {
    if (node.nodeType === 3) { out.push(node.data); return; }
    if (node.nodeType !== 1 || !shown(node)) return;
    const name = ['IMG', 'svg', 'CANVAS'].includes(node.tagName) || node.getAttribute('role') === 'img' ? node.getAttribute('aria-label') ?? '' : null;
    out.push(' ');
    if (name !== null) out.push(name); else node.childNodes.forEach(walk);
    out.push(' ');
  };
  walk(root);
  return out.join('').replace(/\\s+/g, ' ').replace(/ ([,.;])/g, '$1').trim();
};
"""  # noqa: E501
_READ = (
    _SAYS
    + """
const read = new Set(), found = {};
for (const [name, selector] of Object.entries(wanted)) {
  const nodes = [...document.querySelectorAll(selector)].filter(shown);
  nodes.forEach(node => read.add(node));
  found[name] = nodes.map(says);
}
const left = [];
const look = node => {
  if (read.has(node)) return;
  if (node.nodeType === 3) { if (/\\d/.test(node.data)) left.push(node.data.trim()); return; }
  if (node.nodeType !== 1 || !shown(node)) return;
  if (/\\d/.test(node.getAttribute('aria-label') ?? '')) left.push(node.getAttribute('aria-label'));
  node.childNodes.forEach(look);
};
for (const id of ['rail', 'top', 'notices', 'page']) look(document.getElementById(id));
return [found, left];
"""
)


async def figures(page, wanted, known=()):
    """The texts of everything that ``wanted`` selects, by its name; and the texts with a digit that are shown
    anywhere else, but those that ``known`` names."""
    found, left = await page.evaluate(f"wanted => {{ {_READ} }}", wanted)
    return found, [one for one in left if not any(word in one for word in known)]


async def agrees(page, wanted, expected, known=(), within=10.0, order=(), loose=()):
    """The page says ``expected`` and nothing else with a digit, as soon as it has painted; else the
    difference is shown. What ``order`` names may stand in any order, of what ``loose`` names the numbers
    count and not the words; of ``wanted`` without a text in ``expected`` nothing is asked."""

    def plain(texts):
        found = {
            name: [numbers(one) for one in texts[name]] if name in loose else texts[name] for name in expected
        }
        return {name: sorted(found[name]) if name in order else found[name] for name in found}

    wish = plain(expected)
    waited = 0.0
    while True:
        found, left = await figures(page, wanted, known)
        said = plain(found)
        if (said == wish and not left) or waited >= within:
            break
        await page.wait_for_timeout(100)
        waited += 0.1
    assert left == [], f"nobody compares these with anything: {left}"
    wrong = [
        f"{name}: {one!r}, expected {other!r}"
        for name in wish
        for one, other in zip_longest(said[name], wish[name])
        if one != other
    ]
    assert not wrong, "\n".join(["the page says", *wrong])


def numbers(text):
    """The numbers in a text, with their units."""
    return re.findall(r"\d[\d,.]*\b ?(?:%|(?:ms|s|min|h|d)\b)?", text)


def _fixed(n, digits):
    step = Decimal(1).scaleb(-digits)
    return f"{Decimal(n).quantize(step, ROUND_HALF_UP):f}"


def whole(n):
    return DASH if n is None else f"{floor(n + 0.5):,}"


def rate(n):
    if n is None:
        return DASH
    if n >= 100:
        return whole(n)
    return _fixed(n, 1) if n >= 10 else _fixed(n, 2) if n else "0"


def percent(n):
    if n is None:
        return DASH
    if n <= 0 or n >= 100:
        return "0" if n <= 0 else "100"
    return "99.9" if n > 99.9 else "<0.1" if n < 0.1 else _fixed(n, 1)


def latency(ms):
    if ms is None:
        return DASH
    if ms >= 1000:
        return f"{_fixed(ms / 1000, 1 if ms >= 10000 else 2)} s"
    if ms >= 10:
        return f"{floor(ms + 0.5)} ms"
    return f"{_fixed(ms, 1 if ms >= 1 else 2)} ms" if ms else "0 ms"


def duration(s):
    if s is None:
        return DASH
    for border, size, unit in ((119.5, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if s < border:
            return f"{max(0, floor(s / size + 0.5))} {unit}"
    return f"{floor(s / 86_400 + 0.5)} d"


def ago(seconds):
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def count(n, one, many=""):
    return f"{whole(n)} {one if n == 1 else many or one + 's'}"


def line(*parts):
    """One text of several, without those that are not there."""
    return " ".join(" ".join(str(one) for one in parts if one not in (None, "")).split())
