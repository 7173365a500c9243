"""How patient a download is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How patient a download is, and whom it trusts.

    Attributes:
        connect_timeout_s: longest wait for a connection.
        stall_timeout_s: longest wait for the next bytes.
        attempts: tries in a row at one mirror that bring (next to) nothing.
        backoff_s: pause after the first failure; doubled after each further one, at most 8 s.
        ca_bundle: file with certificates to trust, instead of those that the environment variable
            REQUESTS_CA_BUNDLE names or that come with `requests`.
    """

    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 30.0
    attempts: int = 4
    backoff_s: float = 0.5
    ca_bundle: Path | None = None
