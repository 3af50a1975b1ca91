"""The AWS protocols that the sandbox speaks, one module per service."""
