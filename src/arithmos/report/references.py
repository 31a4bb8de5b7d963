"""The works a network's quantization rests on, chosen by what its recipe asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INTEGERS = (
    "B. Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, "
    "CVPR 2018, arXiv:1712.05877"
)
CALIBRATION = (
    "H. Wu et al., Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation, 2020, "
    "arXiv:2004.09602"
)
CORRECTIONS = (
    "M. Nagel et al., Data-Free Quantization through Weight Equalization and Bias Correction, ICCV 2019, "
    "arXiv:1906.04721"
)
INTERVAL = (
    "E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, J. Am. Stat. Assoc. 22, 1927"
)


def references(recipe: Mapping[str, Any], *, has_accuracy: bool, data: str = "") -> list[str]:
    """Citations for a recipe's fields (as in recipe.toml), the accuracy's interval, and the data set's own."""
    observers = (str(recipe.get("weight_observer", "auto")), str(recipe.get("activation_observer", "auto")))
    chosen = [INTEGERS]
    chosen += [CALIBRATION] if any(name != "minmax" for name in observers) else []
    chosen += [CORRECTIONS] if recipe.get("corrections") else []
    chosen += [INTERVAL] if has_accuracy else []
    return chosen + ([data] if data else [])
