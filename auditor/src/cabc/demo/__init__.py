"""`cabc demo`: a platform in small that is really audited."""
