"""Alerts: what people must hear of, whom it is sent to, and that it is sent once."""
