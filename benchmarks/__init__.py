"""How fast logs become Parquet, against what its users have today and against the limit: ``make bench``."""
