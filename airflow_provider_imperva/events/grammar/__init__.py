"""How each format is written, once: records, keys, values, escapes, labels."""
