"""Records and decisions for people and CI systems."""
