"""Every log of Imperva Cloud WAF in a data lake, with the proof that none is missing.

Nothing of Airflow is imported here: Airflow reads this package while it starts, and a failing import would break
every ``airflow`` command.
"""

__version__ = "0.1.0"
