"""What a log file is: a header, and a body that may be encrypted and compressed.

:func:`decode` takes the bytes as received and gives the plain body back, verified whole, or says what is wrong.
"""

from airflow_provider_imperva.container.decode import PlainLog, decode
from airflow_provider_imperva.container.header import LogHeader, split_container
from airflow_provider_imperva.container.keys import KeyRing
from airflow_provider_imperva.options import DecodePolicy

__all__ = ["DecodePolicy", "KeyRing", "LogHeader", "PlainLog", "decode", "split_container"]
