"""An S3 server over a volume that gives every consumer a bucket and a key of its own."""
