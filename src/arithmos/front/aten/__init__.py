"""The table of torch operations: ROWS["aten.relu.default"] = rule(call, *arguments) -> value, or values in a tuple.

Arguments come in the order of the operation's schema, defaults filled in: tensors as Computed or Folded, everything
else as it is. A rule emits float ops through the call, or raises Refusal(why, fix). An operation whose tensors are all
constants never reaches its rule: it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arithmos.front.aten import (
    activation,
    arithmetic,
    attention,
    convolution,
    index,
    layout,
    norm,
    pool,
    product,
    reduction,
    resample,
)

Rule = Callable[..., Any]

ROWS: dict[str, Rule] = {}
for _family in (
    layout,
    index,
    arithmetic,
    activation,
    convolution,
    product,
    pool,
    resample,
    reduction,
    norm,
    attention,
):
    ROWS.update(_family.ROWS)

TAKES_SIZES = frozenset(
    f"aten.{name}"
    for name in (*layout.VIEWS, "expand.default", "broadcast_to.default", "repeat.default", "tile.default")
)
"""Operations with sizes among their arguments, which may hold the batch; elsewhere a number must not."""

RECURRENT = "write the steps out with Linear layers, sigmoid and tanh over a fixed number of steps"
RANDOM = "random numbers have no place in a fixed network: draw them outside and pass them as an input"
DATA_DEPENDENT = "its result depends on the order or number of values: do this outside of the network"

HINTS: dict[str, str] = {
    "lstm": RECURRENT,
    "gru": RECURRENT,
    "rnn_tanh": RECURRENT,
    "rnn_relu": RECURRENT,
    **dict.fromkeys(("rand", "randn", "rand_like", "randn_like", "randint", "bernoulli", "normal", "randperm"), RANDOM),
    **dict.fromkeys(("sort", "argsort", "topk", "kthvalue", "median"), DATA_DEPENDENT),
    **dict.fromkeys(("unique", "unique2", "nonzero", "masked_select"), DATA_DEPENDENT),
    "cond": "compute both branches and choose with torch.where",
    "while_loop": "write the loop out with a fixed number of steps",
    "wrap_with_autocast": "remove torch.autocast: arithmos chooses the precision of every value itself",
    "item": "keep the number as a tensor, or make it a constant of the module",
    "gather": "use indices that are the same for all rows, or look up in a constant with torch.nn.functional.embedding",
    "scatter": "write to constant places with slices, or choose with torch.where",
    "index_put": "write to constant places with slices, or choose with torch.where",
    "round": "leave rounding to quantization",
    "floor": "leave rounding to quantization",
    "ceil": "leave rounding to quantization",
    "trunc": "leave rounding to quantization",
    "prod": "multiply the slices one after the other",
    "cumprod": "multiply the slices one after the other",
    "grid_sampler": "sample outside of the network; interpolate has fixed positions and is supported",
    "fft_rfft": "write the transform as a product with a constant matrix",
    "fft_fft": "write the transform as a product with constant matrices",
    "stft": "compute the spectrum outside of the network",
}
"""Operation -> what to do instead, for those that have no row and are common."""

DEFAULT_HINT = "write it with other torch operations, or leave this layer outside of the network"
