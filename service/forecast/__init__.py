"""Stage 2. From a pool's history to a distribution of its demand over a commitment's term."""
