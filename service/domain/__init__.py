"""The words of the field: money, hours, prices, usage, commitments, plans, purchases, errors.

Pure values only. Nothing here imports an SDK, SQL, a clock, the environment or a log.
"""
