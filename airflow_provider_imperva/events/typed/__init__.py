"""From texts to the typed columns of the schema."""
