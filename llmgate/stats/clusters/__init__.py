"""Means of cases that belong together: bounds that hold for few, unequal and skewed clusters, and facts about them."""
