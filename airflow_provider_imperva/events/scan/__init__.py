"""The fast way: whole blocks of bytes cut into texts at once."""
