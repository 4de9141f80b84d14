"""Plan, collect, assess, decide the status."""
