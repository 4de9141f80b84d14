"""When is an object ready, what is it waiting for, and what stands in its way."""
