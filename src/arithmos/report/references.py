"""The works a network's integers or polynomials rest on, chosen by what its recipe asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
GPFQ = (
    "E. Lybrand, R. Saab, A Greedy Algorithm for Quantizing Neural Networks, J. Mach. Learn. Res. 22, 2021, "
    "arXiv:2010.15979"
)
GPFQ_ALPHABETS = (
    "J. Zhang, Y. Zhou, R. Saab, Post-training Quantization for Neural Networks with Provable Guarantees, 2022, "
    "arXiv:2201.11113"
)
SPFQ = (
    "J. Zhang, R. Saab, SPFQ: A Stochastic Algorithm and Its Error Analysis for Neural Network Quantization, 2023, "
    "arXiv:2309.10975"
)
GPTQ = (
    "E. Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, ICLR 2023, "
    "arXiv:2210.17323"
)
ADAROUND = "M. Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020, arXiv:2004.10568"

ROUNDING: Mapping[str, tuple[str, ...]] = {
    "gpfq": (GPFQ, GPFQ_ALPHABETS),
    "spfq": (GPFQ, SPFQ),
    "gptq": (GPTQ,),
    "gptq_corrected": (GPTQ,),
    "adaround": (ADAROUND,),
}
"""How weights become integers -> the works it is from; "+descent" after the name adds none."""

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
    chosen = [INTEGERS, *rounding_references(recipe)]
    chosen += [CALIBRATION] if any(name != "minmax" for name in observers) else []
    chosen += [CORRECTIONS] if recipe.get("corrections") else []
    chosen += [INTERVAL] if has_accuracy else []
    return chosen + ([data] if data else [])


def rounding_references(recipe: Mapping[str, Any]) -> list[str]:
    """Citations for the fields rounding, levels and regularizer of a recipe."""
    chosen = list(ROUNDING.get(str(recipe.get("rounding", "")).split("+")[0], ()))
    published = recipe.get("levels") == "published" or recipe.get("regularizer", "none") in ("L0", "L1")
    return list(dict.fromkeys([*chosen, *([GPFQ_ALPHABETS] if published else [])]))


def sweep_references(rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[str]:
    """Citations for the methods of a sweep's runs, by the names of their columns, and for its data set."""
    chosen = []
    for row in rows:
        fields = {"rounding": row.get("Method"), "levels": row.get("Levels"), "regularizer": row.get("Regularizer")}
        chosen += rounding_references(fields)
    chosen += [INTERVAL] if facts.get("images") else []
    data = facts.get("origin", {}).get("data_source", "")
    return list(dict.fromkeys([*chosen, *([data] if data else [])]))


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
