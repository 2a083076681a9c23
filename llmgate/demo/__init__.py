"""The packaged demo: a real small model through the whole gate."""
