"""Lowering: from the float op set to the restricted ones, by a recipe and what calibration saw."""
