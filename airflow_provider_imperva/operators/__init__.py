"""Airflow operators: the way through, a task a step."""
