"""Stage 7. Realised against promised, savings, coverage, utilization, and how they are shown."""
