"""Where values come from: one module per kind, all over connections that the operator describes."""
