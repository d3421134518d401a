"""Where logs come from: their names, the index that lists them, and the client that fetches both over HTTPS."""
