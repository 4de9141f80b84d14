"""How a component works: base class, contracts, catalogue, order form, errors. Knows no component."""
