"""What a lake says of itself: whether it is whole, what became of a log, and how the repository stands."""
