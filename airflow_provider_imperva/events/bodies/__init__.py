"""Bodies of each format: where their records begin, and the two ways to read them."""
