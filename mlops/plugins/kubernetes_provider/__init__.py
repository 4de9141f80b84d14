"""Stand-in for `pulumi-resource-kubernetes` 4.34: the same type tokens, ids, inputs, outputs and state."""
