"""Approximations: pure mathematics on numbers. They know no graph; the lowering calls them."""
