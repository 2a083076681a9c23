"""What the other commands do, one module each; the command line only words it."""
