"""Types of values, strategies of comparison, units; which goes with which."""
