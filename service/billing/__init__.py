"""The one truth about bills: how each provider applies commitments, hour by hour."""
