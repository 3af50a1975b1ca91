"""Stage 7. Realised against promised, savings, coverage, utilisation, and how they are shown."""
