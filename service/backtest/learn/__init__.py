"""Learns, from made demand, the share of today's best level that is worth owning for a year."""
