"""What `verify` looks at, one module per place: chains, anchors, stored bytes."""
