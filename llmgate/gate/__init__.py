"""Two records and a policy become a decision."""
