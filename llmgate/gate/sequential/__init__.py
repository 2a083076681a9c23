"""Early stopping: the planned looks of a run, and a stop that is recomputed and never believed."""
