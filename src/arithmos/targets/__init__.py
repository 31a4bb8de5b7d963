"""Targets: everything that executes or prints an integer graph. One package each, independent of each other."""
