"""The HTTP API: status, sign-off, halt, audit."""
