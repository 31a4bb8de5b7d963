"""The compiled kernel and its stand-in on torch against float64: precision, tails, threads, the largest magnitude."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arithmos.approx.composite import Composite, relu_of
from arithmos.approx.sets import sign_set
from arithmos.targets.clear import kernel as kernels
from arithmos.targets.clear.block_form import BLOCK, block_form
from arithmos.targets.clear.kernel import Kernel, by_torch, evaluate, kernel_of

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

needs_compiler = pytest.mark.skipif(not kernels.compiled(), reason="apt-get install gcc")
FROM_FLOAT64 = 2.0**-18


def relu_kernel(composite: Composite, bound: float = 1.0) -> Kernel:
    return kernel_of(composite.stages, bound=bound, form="relu", offset=composite.offset, gain=1.0)


def run(kernel: Kernel, x: np.ndarray, **options: int) -> tuple[np.ndarray, float]:
    y = torch.empty(x.shape)
    return y.numpy(), evaluate(kernel, torch.from_numpy(x), y, **options)


def points() -> np.ndarray:
    """The whole interval, its ends, and around 0, where the sign is steepest."""
    near = np.geomspace(1e-7, 1, 20001)
    return np.concatenate([np.linspace(-1, 1, 40001), near, -near]).astype(np.float32)


@needs_compiler
@pytest.mark.parametrize("alpha", range(4, 15))
@pytest.mark.parametrize("offset", [False, True])
def test_the_compiled_kernel_is_near_float64(alpha: int, offset: bool) -> None:
    composite, x = sign_set(alpha, offset=offset), points()
    y, peak = run(relu_kernel(composite), x)
    assert np.abs(y - relu_of(composite, x)).max() <= FROM_FLOAT64
    assert peak == 1.0


@pytest.mark.parametrize("alpha", [4, 8, 11])
def test_torch_alone_is_near_float64(alpha: int) -> None:
    composite, x = sign_set(alpha, offset=False), points()
    y = torch.empty(x.shape)
    assert by_torch(relu_kernel(composite), torch.from_numpy(x), y) == 1.0
    assert np.abs(y.numpy() - relu_of(composite, x)).max() <= FROM_FLOAT64


@needs_compiler
def test_a_long_composite_of_high_degrees() -> None:
    """What the power basis loses entirely in float32: three stages, coefficients up to 5e8 in y^2."""
    rng = np.random.default_rng(0)
    stages = []
    for degree in (15, 27, 29):
        c = np.zeros(degree + 1)
        c[1::2] = rng.normal(size=(degree + 1) // 2) / np.arange(1, degree + 1, 2)
        stages.append(c / np.abs(c).sum())
    composite, x = Composite(tuple(stages)), points()
    assert np.abs(run(relu_kernel(composite), x)[0] - relu_of(composite, x)).max() <= FROM_FLOAT64


@given(st.lists(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40), min_size=1, max_size=2), st.data())
def test_any_coefficients_of_any_parity(drawn: list[list[float]], data: st.DataObject) -> None:
    """Even, odd and mixed stages, zeros anywhere: torch in blocks equals Clenshaw's recurrence in float64."""
    stages = [np.array(c) / max(np.abs(c).sum(), 1.0) for c in drawn]
    x = np.linspace(-3, 3, 301).astype(np.float32)
    kernel = kernel_of(stages, bound=3.0, form="value", offset=0.5, gain=2.0)
    y = torch.empty(x.shape)
    by_torch(kernel, torch.from_numpy(x), y)
    p = x.astype(np.float64) / 3
    for stage in stages:
        p = np.polynomial.chebyshev.chebval(p, stage)
    assert np.abs(y.numpy() - (2 * p + 0.5)).max() <= 64 * FROM_FLOAT64


@needs_compiler
@pytest.mark.parametrize("coefficients", [[0.5], [0.0], [0.5, 0.0, 0.5], [0.1, 0.2, 0.3, 0.4, 0.0, 0.2], [0, 1]])
def test_compiled_kernels_of_every_parity(coefficients: list[float]) -> None:
    x = np.linspace(-1, 1, 1001).astype(np.float32)
    kernel = kernel_of([np.array(coefficients)], bound=None, form="value", offset=-1.0, gain=3.0)
    exact = 3 * np.polynomial.chebyshev.chebval(x.astype(np.float64), coefficients) - 1
    assert np.abs(run(kernel, x)[0] - exact).max() <= FROM_FLOAT64


@given(st.integers(1, 40), st.booleans())
def test_the_block_form_is_the_series_exactly(size: int, rational: bool) -> None:
    """In rational numbers sum B_i S_i = sum c_k T_k, whatever the number of blocks; they hold BLOCK numbers at most."""
    c = [(-1) ** k * (k + 1) / 2 ** (k % 3) for k in range(size)]
    stage = block_form(np.array(c), Fraction(1))
    y = Fraction(3, 8) if rational else Fraction(-1, 2)
    v = 4 * y * y - 2
    z = (v * v - 2) ** 2 - 2
    total = Fraction(0)
    for part, factor in ((stage.even, Fraction(1)), (stage.odd, 2 * y)):
        before, now = Fraction(0), Fraction(1)
        for block in part:
            assert len(block) <= BLOCK
            total += factor * now * sum(Fraction(b) * v**i for i, b in enumerate(block))
            before, now = now, z * now - before
    before, now, series = Fraction(1), y, Fraction(c[0])
    for number in c[1:]:
        series += Fraction(number) * now
        before, now = now, 2 * y * now - before
    assert abs(total - series) <= Fraction(1, 10**6) * max(abs(series), 1)


@needs_compiler
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 300_001])
@pytest.mark.parametrize("threads", [1, 3])
def test_tails_and_threads(n: int, threads: int) -> None:
    kernel = relu_kernel(sign_set(7, offset=False), bound=4.0)
    x = np.random.default_rng(n).uniform(-4, 4, n).astype(np.float32)
    guarded = torch.full((n + 2,), 7.0)
    peak = evaluate(kernel, torch.from_numpy(x), guarded[1:-1], threads=threads)
    assert guarded[0] == guarded[-1] == 7.0
    assert peak == np.abs(x).max(initial=0)
    assert np.array_equal(
        guarded[1:-1].numpy(), np.concatenate([run(kernel, part)[0] for part in np.array_split(x, 7)])
    )


@needs_compiler
def test_in_place() -> None:
    kernel, x = relu_kernel(sign_set(7, offset=False)), torch.linspace(-1, 1, 777)
    apart = torch.empty_like(x)
    evaluate(kernel, x, apart)
    evaluate(kernel, x, x)
    assert torch.equal(x, apart)


@needs_compiler
@pytest.mark.parametrize("broken", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_not_finite_is_the_largest(broken: float, threads: int) -> None:
    x = np.zeros(300_000, dtype=np.float32)
    x[170_003] = broken
    peak = run(relu_kernel(sign_set(4, offset=False)), x, threads=threads)[1]
    assert not peak <= 1e30


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "compiled", lambda: False)
    composite, x = sign_set(8, offset=False), points()
    y, peak = run(relu_kernel(composite), x)
    assert peak == 1.0 and np.abs(y - relu_of(composite, x)).max() <= FROM_FLOAT64
