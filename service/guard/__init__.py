"""Stage 4. The policy: a verdict on every line of a plan, with its rule and both numbers."""
