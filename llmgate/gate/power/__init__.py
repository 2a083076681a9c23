"""What a gate can decide before it is run: sizes, chances, noise."""
