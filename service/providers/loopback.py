"""Decides which addresses are on this very machine, where sandboxes answer and no cloud does."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """The URL's host is a loopback address written as a number; names are not trusted."""
    parts = urlsplit(url)
    try:
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return address.is_loopback and parts.scheme in {"http", "https"}
