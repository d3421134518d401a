"""What may not be written in clear: the rules that redact secrets, and the pseudonyms of people."""
