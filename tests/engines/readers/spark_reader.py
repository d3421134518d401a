"""Spark itself, on one core."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from tests.engines.readers.python_code import answer_of


def version() -> str:
    """Return its version."""
    return str(pyspark.__version__)


@cache
def session() -> SparkSession:
    """Start Spark; all that it keeps is in a temporary folder."""
    folder = tempfile.mkdtemp(prefix="spark-")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    options = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[1]").appName("tests")
    for name, value in options.items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("OFF")
    return started


def run(code: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Run Python; it leaves a frame."""
    frame = answer_of(code, spark=session())
    return dict(frame.dtypes), frame.toArrow().to_pylist(maps_as_pydicts="strict")
