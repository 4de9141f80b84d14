"""`cabc serve`: pages, API, roles."""
