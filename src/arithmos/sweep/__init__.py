"""Sweeps: grids of runs keyed by digest, resumable, on one machine or a cluster."""
