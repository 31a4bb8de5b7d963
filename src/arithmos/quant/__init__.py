"""Quantizers: pure mathematics on arrays. They know no graph; the lowering calls them."""
