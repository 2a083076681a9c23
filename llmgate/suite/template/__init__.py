"""Templates as promptfoo's users write them, evaluated in a sandbox with a budget of time and size."""
