"""Stage 3. What to buy: the portfolio, the ladder over time, rounding down, and the reasons."""
