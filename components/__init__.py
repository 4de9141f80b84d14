"""What the platform consists of: one folder per component, `_core` says how a component works."""
