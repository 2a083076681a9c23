"""How often the gate errs: planted and resampled differences through the gate's own verdicts."""
