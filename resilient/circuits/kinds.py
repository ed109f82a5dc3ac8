"""What failures are called: the few kinds that come most, counted over the last minutes."""

from __future__ import annotations

import math

#: Kinds that are told apart; what comes beside them is counted as ``other``.
MOST = 8
#: Seconds until counting begins anew. The counts of before are told as well: five to ten minutes in all.
GENERATION = 300.0
#: Characters of a kind that are kept: programs make types, and servers phrases.
LONGEST = 80
#: What is no error's name: our own deadline, a limit that was reached, and all the rest.
TIMEOUT, REJECTED, OTHER = "timeout", "rejected", "other"

#: A kind is an error's type, or words where there was no error.
Kind = type[BaseException] | str


def name(kind: Kind) -> str:
    """The kind in words."""
    return (kind if isinstance(kind, str) else kind.__name__)[:LONGEST]


class Kinds:
    """Failures by kind. A circuit that never failed has none of these: it has :data:`NO_KINDS`.

    Whoever counts a failure adds to ``counts[kind]`` where there is such a kind, for failing must be cheap;
    else asks :meth:`learn`.
    """

    __slots__ = ("before", "counts", "until")

    def __init__(self, until: float) -> None:
        self.counts: dict[Kind, int] = {}
        self.before: dict[Kind, int] = {}
        self.until = until

    def learn(self, kind: Kind) -> None:
        """Count a failure of a kind that ``counts`` does not know."""
        counts, known = self.counts, name(kind)
        for one in counts:
            if name(one) == known:  # a type made anew, as some libraries do for each client
                counts[one] += 1
                return
        key: Kind = kind if not isinstance(kind, str) else known
        if len(counts) - (OTHER in counts) >= MOST:
            key = OTHER
        counts[key] = counts.get(key, 0) + 1

    def turn(self, now: float) -> None:
        """Let go what is too old; ``now`` is monotonic."""
        if now >= self.until:
            late = now >= self.until + GENERATION
            self.before, self.counts = {} if late else self.counts, {}
            self.until = (now if late else self.until) + GENERATION

    def told(self) -> list[tuple[str, int]]:
        """Kinds with their counts, the most frequent first and ``other`` last: nine pairs at most."""
        if not self.counts and not self.before:  # as nearly always, and pushes ask each circuit
            return []
        sums: dict[str, int] = {}
        for counts in (self.before, self.counts):
            for kind, n in counts.items():
                known = name(kind)
                sums[known] = sums.get(known, 0) + n
        rest = sums.pop(OTHER, 0)
        found = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
        rest += sum(n for _, n in found[MOST:])
        return [*found[:MOST], *([(OTHER, rest)] if rest else [])]


#: For circuits that never failed; its counts stay empty.
NO_KINDS = Kinds(math.inf)
