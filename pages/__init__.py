"""Writes what is kept in the repository and follows from the schema: a page of the docs, and table definitions."""
