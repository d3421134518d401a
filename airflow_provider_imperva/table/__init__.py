"""The lake as a Delta or an Iceberg table: each commit of the ledger appears in it whole or not at all."""
