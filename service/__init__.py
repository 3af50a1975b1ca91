"""Tenor: decides, buys and accounts for cloud commitments, under policy, exactly once."""

__version__ = "0.1.0"
