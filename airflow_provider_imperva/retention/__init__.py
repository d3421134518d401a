"""How long things stay in a lake: retention by rule, legal holds, and erasure on request."""
