"""One metric: tested, corrected by labels, adjusted, and decided. Every error rate of a verdict is made here."""
