"""Evidence that runners agree: comparison of every value, inputs that provoke disagreement, mutants, dumps."""
