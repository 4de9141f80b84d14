"""The gate: champion and traffic only for model versions whose conformity status allows it."""
