"""What a stranger may ask of a listener: sizes in bytes, times in seconds, everything else a count."""

from dataclasses import dataclass, fields

from ..errors import ConfigError

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one listener. Sizes are bytes, times seconds, rates bytes a second; the rest are counts.

    Raises :class:`ConfigError` for a number that is not above zero.
    """

    # The head of a request
    line: int = 8 * KIB  #: request line, and each header line (L-01)
    header_lines: int = 100  #: header lines of one request (L-02)
    head: int = 32 * KIB  #: the whole head of one request (L-02)
    query: int = 4 * KIB  #: the query string (L-18)
    parameters: int = 64  #: parameters in the query string (L-18)

    # The body of a request
    body: int = 256 * KIB  #: after decoding (L-03)
    batch_body: int = 8 * MIB  #: a batch from a peer, after decoding (L-04)
    batch_items: int = 5000  #: entries of such a batch (L-04)
    ratio: int = 100  #: inflated bytes for one compressed byte ... (L-05)
    ratio_free: int = 64 * KIB  #: ... once so much came out (L-05)

    # Connections
    connections: int = 10_000  #: of the process; fewer if file descriptors are scarce (S-50)
    connections_per_address: int = 200  #: from one other machine (S-50)
    head_timeout: float = 10.0  #: a request's head is complete after so long (S-51)
    body_timeout: float = 30.0  #: and its body after so long (S-51)
    body_rate: float = 1.0 * KIB  #: a body slower than this is given up ... (S-51)
    body_grace: float = 5.0  #: ... after so long (S-51)
    idle_timeout: float = 75.0  #: a kept connection may rest so long (S-51)

    # Streams and readers
    streams: int = 2000  #: open streams of the process (S-53)
    streams_per_address: int = 50  #: from one other machine (S-53)
    stream_events: int = 1024  #: events waiting for one reader
    stream_buffer: int = 96 * KIB  #: bytes waiting for one reader; with the transport's 256 KiB (S-55)
    stall_timeout: float = 30.0  #: a reader that takes nothing for so long is cut (S-55)
    heartbeat: float = 15.0  #: a quiet stream says so this often

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ConfigError(f"limit {field.name} must be above zero, not {value!r}")


DEFAULTS = Limits()
