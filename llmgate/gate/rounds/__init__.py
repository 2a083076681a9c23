"""Several candidates against one champion: decided together, or one of them by a final on new cases."""
