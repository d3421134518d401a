"""What ``make demo`` and ``make standalone`` run."""
