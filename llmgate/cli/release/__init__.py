"""Commands around the registry and what is served."""
