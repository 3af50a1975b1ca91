"""Stage 5. Proposals, write-ahead intents, and the one place that buys."""
