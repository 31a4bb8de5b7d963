"""GPTQ: the integers of the paper's algorithm; the corrected target of two inputs."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.errors import UsageError
from arithmos.quant.feedback import BLOCK
from arithmos.quant.gptq import corrected, gptq
from arithmos.quant.gram import damped, gram, gram_of_pairs
from arithmos.quant.grid import published
from arithmos.quant.quantiser import nearest, stochastic
from quant.direct import gptq_of_the_paper, vectors

LEVELS = published(2)


def error(real: np.ndarray, q: np.ndarray, matrix: np.ndarray) -> float:
    return float((np.matmul(real - q, matrix) * (real - q)).sum())


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 5, 20), (2, 3, 2 * BLOCK + 3), (30, 1, 9)])
def test_the_integers_of_the_paper(shape: tuple[int, int, int]) -> None:
    _, x = vectors(1, shape[0], 3 * shape[2], shape[2])
    matrix = damped(gram([x]), 0.01).matrix
    real = np.random.default_rng(0).normal(size=shape)
    found = gptq(real, nearest(LEVELS), matrix)
    assert found.dtype == np.int64
    for g in range(shape[0]):
        assert np.array_equal(found[g], gptq_of_the_paper(real[g], nearest(LEVELS), matrix[g]))
    assert error(real, found, matrix) < error(real, nearest(LEVELS)(real), matrix)
    drawn = gptq(real[:1], stochastic(LEVELS, np.random.default_rng(3)), matrix[:1])
    assert np.array_equal(drawn[0], gptq_of_the_paper(real[0], stochastic(LEVELS, np.random.default_rng(3)), matrix[0]))


def test_in_another_order() -> None:
    _, x = vectors(2, 2, 90, 30)
    matrix, real = damped(gram([x]), 0.01).matrix, np.random.default_rng(0).normal(size=(2, 4, 30))
    order = np.random.default_rng(1).permutation(30)
    found = gptq(real, nearest(LEVELS), matrix, order=order)
    for g in range(2):
        inside = gptq_of_the_paper(real[g][:, order], nearest(LEVELS), matrix[g][order][:, order])
        assert np.array_equal(found[g][:, order], inside)


def test_inputs_that_are_always_zero_round_to_nearest() -> None:
    _, x = vectors(4, 2, 60, 12)
    x[0, :, 3], x[1] = 0, 0
    real = np.random.default_rng(0).normal(size=(2, 4, 12))
    found = gptq(real, nearest(LEVELS), gram([x]).matrix)
    assert np.array_equal(found[0, :, 3], nearest(LEVELS)(real)[0, :, 3])
    assert np.array_equal(found[1], nearest(LEVELS)(real)[1])


def test_too_few_vectors_are_said_and_damping_helps() -> None:
    _, x = vectors(5, 1, 5, 12)
    x = np.floor(x * 8)  # whole numbers: the matrix is singular exactly
    real, moments = np.random.default_rng(0).normal(size=(1, 4, 12)), gram([x])
    text = (
        "the Gram matrix of the layer's inputs is singular\n"
        "  why  its inputs are too few, or depend on each other: what each adds to the others is not unique\n"
        "  fix  damp it: a damping of 0.01 adds 1 % of its mean diagonal; or give more calibration images"
    )
    for matrix in (np.ones((1, 12, 12)), moments.matrix):
        with pytest.raises(UsageError) as caught:
            gptq(real, nearest(LEVELS), matrix)
        assert str(caught.value) == text
    found = gptq(real, nearest(LEVELS), damped(moments, 0.01).matrix)
    assert found.min() >= LEVELS.lo and found.max() <= LEVELS.hi


@pytest.mark.parametrize("d", [15, 2 * BLOCK + 3])
def test_the_corrected_target_turns_two_inputs_into_one(d: int) -> None:
    x, y = vectors(6, 2, 200, d)
    real = np.random.default_rng(0).normal(size=(2, 4, d))
    moments = gram_of_pairs([(x, y)])
    target = corrected(real, moments)
    for g in range(2):
        solved = np.linalg.lstsq(x[g], y[g] @ real[g].T, rcond=None)[0].T
        assert np.allclose(target[g], solved, atol=1e-9)
    rng = np.random.default_rng(1)
    one, other = (rng.integers(-2, 3, real.shape) for _ in range(2))  # the two errors differ by a constant

    def outputs(q: np.ndarray) -> float:
        wanted, got = (np.matmul(v, w.transpose(0, 2, 1)) for v, w in ((y, real), (x, q)))
        return float(np.square(wanted - got).sum() / 200)

    apart = error(target, one, moments.matrix) - error(target, other, moments.matrix)
    assert apart == pytest.approx(outputs(one) - outputs(other), rel=1e-9)


def test_equal_inputs_need_no_correction() -> None:
    _, x = vectors(7, 2, 50, 10)
    x[0, :, 4], x[1] = 0, 0
    real = np.random.default_rng(0).normal(size=(2, 3, 10))
    assert corrected(real, gram([x])) is real
    for share in (0.01, 1.0):
        assert np.allclose(corrected(real, damped(gram_of_pairs([(x, x)]), share)), real, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_a_correction_that_is_not_unique_is_said(seed: int) -> None:
    """Of too few vectors: whether a pivot is 0, or rounds to a little more or less, does not matter."""
    _, x = vectors(seed, 1, 5, 20)
    with pytest.raises(UsageError) as caught:
        corrected(np.ones((1, 2, 20)), gram_of_pairs([(x, x)]))
    assert str(caught.value) == (
        "the Gram matrix of the layer's inputs is singular\n"
        "  why  its inputs are too few, or depend on each other: what each adds to the others is not unique\n"
        "  fix  damp it: a damping of 0.01 adds 1 % of its mean diagonal; or give more calibration images"
    )
