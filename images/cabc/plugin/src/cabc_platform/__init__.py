"""What the platform adds to cabc."""
