"""What must survive a restart: schema, ledger, records, usage files, the executor's lease."""
