"""Who may do what with the registry. Pure; who is calling is `resilient.web.trust`'s business.

Without a token, everybody who reaches the registry may read, register, renew, and sign out what was
registered from his own address; the rest is for callers on this machine. With a token, every write
needs it. A read token closes the reads.
"""

from __future__ import annotations

from enum import Enum

from resilient.web.trust import Caller, Trust

#: The ``WWW-Authenticate`` of a 401: any user, the token as password.
CHALLENGE = 'Basic realm="registry", charset="UTF-8"'


class Action(Enum):
    """What somebody wants to do."""

    READ = "read"
    JOIN = "join"  # register, renew, push one's own circuits
    OWN = "own"  # sign out, or change, what was registered from the same address
    ACT = "act"  # everything else that changes something, replication included


def refusal(trust: Trust, caller: Caller, action: Action, owner: str | None = None) -> int:
    """0 for yes, else the status to answer: 401, 403 or 429. ``owner`` registered it."""
    if caller.retry_after > 0:
        return 429
    if caller.wrong_token:
        return 401
    if caller.has_token:
        return 0
    if action is Action.READ:
        return 0 if not trust.needs_read_token or caller.has_read_token else 401
    if trust.needs_token:
        return 403 if caller.has_read_token else 401
    if caller.is_loopback or action is Action.JOIN:
        return 0
    if action is Action.OWN and owner and owner == caller.address:
        return 0
    return 403
