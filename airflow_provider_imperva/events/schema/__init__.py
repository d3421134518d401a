"""What an event is made of: the columns, their types, and where a body came from."""
