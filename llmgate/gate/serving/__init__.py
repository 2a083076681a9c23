"""Raw timings → summaries, and whether a measurement is valid. The only place that averages them."""
