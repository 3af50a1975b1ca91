"""A Google Cloud billing account on loopback: commitments, orders, prices, usage, exports."""
