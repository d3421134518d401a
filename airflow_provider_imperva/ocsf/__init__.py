"""The lake's events in the Open Cybersecurity Schema Framework (OCSF), as Parquet for others to read."""
