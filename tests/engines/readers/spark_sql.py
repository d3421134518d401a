"""``python -m tests.engines.readers.spark_sql``: runs the statements of a JSON list, and prints the rows of each."""

from __future__ import annotations

import json
import sys

from tests.engines.readers.cells import cell
from tests.engines.readers.spark_reader import session


def main() -> None:
    """Run them in order, in one session."""
    spark = session()
    answers = []
    for statement in json.load(sys.stdin):
        rows = spark.sql(statement).collect()
        answers.append([[cell(value) for value in row] for row in rows])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
