"""Two servings measured against each other: in which order, on which servers, and what is made again."""
