"""Integer constants from trained weights and steps: `lower.derived`'s formula on torch, with a gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from arithmos.lower.derived import Derived
from arithmos.lower.factor import Factor
from arithmos.train.straight_through import Floor, OddLevel


def derived_constant(how: Derived, source: Tensor, steps: Mapping[str, Tensor]) -> Tensor:
    """clip(floor(source * gain * product of steps ** powers + 1/2), levels) as float64; the integers of `how.integers`.

    The gradient is that of the number before rounding, and 0 where it lies outside the levels. Binary weights
    (`how.odd`) pass it everywhere: those beyond +-1 could not come back.
    """
    # The sign of a weight does not depend on its step, whose gradient is then that of step * sign.
    sizes = {owner: steps[owner].detach() if how.odd else steps[owner] for owner in how.powers}
    scaled = source.double() if how.gain == 1 else source.double() * how.gain
    real = _product(scaled, ((_along(sizes[o], how.axis), p) for o, p in how.powers.items()))
    if how.odd:
        assert how.levels is not None
        binary: Tensor = OddLevel.apply(real, how.levels.lo, how.levels.hi)  # type: ignore[no-untyped-call]
        return binary
    if how.levels is not None:
        real = real.clamp(how.levels.lo, how.levels.hi)
    rounded: Tensor = Floor.apply(real + 0.5)  # type: ignore[no-untyped-call]
    return rounded


def factor_tensor(factor: Factor, steps: Mapping[str, Tensor]) -> Tensor:
    """The numbers of a factor, with the gradient of its steps."""
    coefficient = torch.from_numpy(factor.coefficient.astype("float64"))
    sized = [(steps[step.owner].reshape(step.size.shape), power) for step, power in factor.powers.items()]
    return _product(coefficient.to(sized[0][0].device) if sized else coefficient, sized)


def _product(source: Tensor, powers: Iterable[tuple[Tensor, int]]) -> Tensor:
    """The order of operations of `lower.factor.product`, so that float64 gives the same integers; none is by 1."""
    above: Tensor | None = None
    below: Tensor | None = None
    for size, power in powers:
        if power > 0:
            above = size**power if above is None else above * size**power
        else:
            below = size**-power if below is None else below * size**-power
    source = source if above is None else source * above
    return source if below is None else source / below


def _along(step: Tensor, axis: int) -> Tensor:
    return step.reshape(-1, *[1] * (-axis - 1)) if step.ndim else step
