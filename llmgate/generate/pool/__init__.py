"""Several places that answer as one: how many requests each may have in flight, and which of them is asked."""
