"""Clouds behind one port. Adapters translate; they decide nothing."""
