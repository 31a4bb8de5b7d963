"""Gadgets: each a pure function of signals, with its constraint count as a formula and why no second witness exists."""
