"""Server-rendered pages over the same reads as the API."""
