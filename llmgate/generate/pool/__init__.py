"""How many requests may be in flight, and what decides it where the number adapts to the server."""
