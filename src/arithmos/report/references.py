"""The works a network's integers or polynomials rest on, chosen by what its recipe asked for."""

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

COMPOSITES = (
    "J. Lee et al., Precise Approximation of Convolutional Neural Networks for Homomorphically Encrypted Data, 2021, "
    "arXiv:2105.10879"
)
FITTED = (
    "J. Lee et al., Optimizing Layerwise Polynomial Approximation for Efficient Private Inference on Fully Homomorphic "
    "Encryption: A Dynamic Programming Approach, 2023, arXiv:2310.10349"
)
TAYLOR_MODELS = (
    "K. Makino, M. Berz, Taylor Models and Other Validated Functional Inclusion Methods, Int. J. Pure Appl. Math. 6, "
    "2003"
)
CRYPTONETS = (
    "R. Gilad-Bachrach et al., CryptoNets: Applying Neural Networks to Encrypted Data with High Throughput and "
    "Accuracy, ICML 2016"
)
FASTER_CRYPTONETS = (
    "E. Chou et al., Faster CryptoNets: Leveraging Sparsity for Real-World Encrypted Inference, 2018, arXiv:1811.09953"
)


def references(recipe: Mapping[str, Any], *, has_accuracy: bool, data: str = "") -> list[str]:
    """Citations for a recipe's fields (as in recipe.toml), the accuracy's interval, and the data set's own."""
    observers = (str(recipe.get("weight_observer", "auto")), str(recipe.get("activation_observer", "auto")))
    chosen = [INTEGERS]
    chosen += [CALIBRATION] if any(name != "minmax" for name in observers) else []
    chosen += [CORRECTIONS] if recipe.get("corrections") else []
    chosen += [INTERVAL] if has_accuracy else []
    return chosen + ([data] if data else [])


def polynomial_references(recipe: Mapping[str, Any]) -> list[str]:
    """Citations for the method of a recipe of polynomials, as in recipe.toml; {} is the default method."""
    match recipe.get("method", "composite"):
        case "square":
            return [CRYPTONETS]
        case "relu_aq":
            return [FASTER_CRYPTONETS]
        case "fitted":
            return [FITTED, COMPOSITES, TAYLOR_MODELS]
        case _:
            return [COMPOSITES, TAYLOR_MODELS]
