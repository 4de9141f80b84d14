"""An example of a plugin of cabc: an interface, a data type and a strategy."""
