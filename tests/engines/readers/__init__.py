"""Readers of a lake, one module an engine: programs of the environment ``.engines``, which has none of our own."""
