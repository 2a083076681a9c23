"""What the commands beside `run`, `decide`, `judge` and `promote` do, one module each. Nothing is printed here."""
