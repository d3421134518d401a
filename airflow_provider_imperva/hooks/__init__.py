"""Airflow hooks: from a connection to what it opens."""
