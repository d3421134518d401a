"""What the columns of an event mean together: the columns that are derived from others once rows are protected.

Everything here takes Arrow columns, whichever reader filled them, and gives Arrow columns. It runs after redaction and
pseudonyms, so that nothing that these took out comes back in another shape.
"""
