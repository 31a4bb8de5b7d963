"""Real functions and normalisations against torch, in both float types, far out too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from arithmos.ir.build import Builder
from arithmos.ir.interpret import evaluate
from arithmos.ir.ops.function import ATTRS, FUNCTIONS

torch = pytest.importorskip("torch", reason="pip install 'arithmos[torch]'")
F = torch.nn.functional

TORCH: dict[str, Callable[..., Any]] = {
    "relu": F.relu,
    "step": lambda x: (x > 0).to(x.dtype),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "elu": lambda x, alpha: F.elu(x, alpha),
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "silu": F.silu,
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "softplus": lambda x, beta, threshold: F.softplus(x, beta, threshold),
    "gelu": lambda x, approximate: F.gelu(x, approximate=approximate),
    "tanh": torch.tanh,
    "erf": torch.erf,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "pow": lambda x, exponent: torch.pow(x, exponent),
    "abs": torch.abs,
    "sin": torch.sin,
    "cos": torch.cos,
}
POSITIVE_ONLY = {"log", "sqrt", "rsqrt", "reciprocal"}
MORE: dict[str, list[dict[str, object]]] = {
    "gelu": [{"approximate": "tanh"}],
    "elu": [{"alpha": 0.3}],
    "softplus": [{"beta": 2.0, "threshold": 5.0}],
    "pow": [{"exponent": 3}, {"exponent": 2}],
}


def test_every_function_has_its_counterpart() -> None:
    assert set(TORCH) == set(FUNCTIONS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_against_torch(name: str, dtype: type) -> None:
    x = np.concatenate([np.linspace(-8, 8, 401), [-60.0, 60.0, -1e-6, 0.0]]).astype(dtype)
    if name in POSITIVE_ONLY:
        x = np.abs(x) + dtype(1e-3)
    for attrs in (ATTRS.get(name, {}), *MORE.get(name, [])):
        y = FUNCTIONS[name](x, **attrs)
        expected = TORCH[name](torch.from_numpy(x), **attrs).numpy()
        assert y.dtype == dtype
        tolerance = 1e-5 if dtype is np.float32 else 1e-12
        assert np.all(np.abs(y - expected) <= tolerance * np.maximum(np.abs(expected), 1)), (name, attrs)


def normed(op: str, x: np.ndarray, constants: list[np.ndarray], **attrs: Any) -> np.ndarray:
    b = Builder("float")
    names = [b.input("x", (-1, *x.shape[1:])), *(b.constant("c", c) for c in constants)]
    return evaluate(b.graph(b.add(op, *names, name="y", **attrs)), {"x": x}, dtype=x.dtype.type)["y"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalisations_against_torch(dtype: type) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(1, 3, (2, 6, 5, 4)).astype(dtype)
    weight, bias, mean = (rng.normal(size=6).astype(dtype) for _ in range(3))
    var = rng.uniform(0.1, 2, 6).astype(dtype)
    t, w, b, m, v = (torch.from_numpy(a) for a in (x, weight, bias, mean, var))
    wide, tall = rng.normal(size=(5, 4)).astype(dtype), rng.normal(size=(5, 4)).astype(dtype)
    cases = [
        (normed("batch_norm", x, [weight, bias, mean, var], eps=1e-3), F.batch_norm(t, m, v, w, b, eps=1e-3)),
        (normed("group_norm", x, [weight, bias], groups=3, eps=1e-5), F.group_norm(t, 3, w, b)),
        (normed("layer_norm", x, [], axes=1, eps=1e-5), F.layer_norm(t, (4,))),
        (
            normed("layer_norm", x, [wide, tall], axes=2, eps=1e-2),
            F.layer_norm(t, (5, 4), torch.from_numpy(wide), torch.from_numpy(tall), 1e-2),
        ),
        (normed("softmax", x * 30, [], axis=1), F.softmax(t * 30, 1)),
        (normed("softmax", x, [], axis=3), F.softmax(t, 3)),
    ]
    for y, expected in cases:
        assert y.dtype == dtype
        assert np.abs(y - expected.numpy()).max() < (2e-5 if dtype is np.float32 else 1e-13)
