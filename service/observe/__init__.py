"""What happened, for people and machines: events, logs, metrics."""
