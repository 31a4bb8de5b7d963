"""Passes: Graph -> Graph, one rule a file. A pipeline is a list of them."""
