"""The lake as a Delta table: each commit of the ledger appears in it whole or not at all."""
