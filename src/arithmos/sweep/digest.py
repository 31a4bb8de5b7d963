"""The digest of a run: of everything that its row depends on, so that a row found under it need not be made again."""

from __future__ import annotations

import hashlib
import json

from arithmos import __version__
from arithmos.lower.recipe import Recipe
from arithmos.sweep.configuration import Configuration
from arithmos.sweep.relevant import is_read, relevant

ROWS = 2
"""Raised when the same configuration gives another row between two versions."""


def digest(configuration: Configuration) -> str:
    """sha256 of the weights and images (their key), the recipe, the seed, and the version of the program.

    Left out: the point, and fields and seeds that nothing reads, since two points that mean the same are the same run;
    and the versions of numpy and torch, which may differ in the last bits of a sum, so that a sweep can be gone on with
    after they were renewed.
    """
    recipe = Recipe(**configuration.recipe)
    document = {
        "arithmos": __version__,
        "rows": ROWS,
        "network": configuration.network,
        "shared": configuration.shared,
        "n_calibration": configuration.n_calibration,
        "seed": configuration.seed if is_read("seed", recipe) else 0,
        "recipe": relevant(recipe),
        "integers": configuration.integers,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
