"""Stage 1. Billing exports and datasets become hourly usage; bad data is refused, never filled."""
