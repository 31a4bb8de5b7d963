"""The border of an integer network: how images become the integers of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph, Shape, Value
from arithmos.ir.interval import Interval, interval_of, narrowest_dtype
from arithmos.ir.scale import as_float


def as_array(data: Any) -> np.ndarray:
    """The numpy array of an array, a nested list or a torch tensor (on any device), without importing torch."""
    return np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)


def round_to_grid(x: np.ndarray, step: np.ndarray | float, grid: Interval) -> np.ndarray:
    """clip(floor(x / step + 1/2), grid) in float64: the one rounding rule at the border; ties go towards +inf."""
    return np.clip(np.floor(x.astype(np.float64) / step + 0.5), grid.lo, grid.hi).astype(np.int64)


def admit(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs as the network takes them, each checked; raises UsageError with every problem at once.

    Integer graph: float arrays are rounded to the input's grid, integer arrays must lie in its range and are used as
    they are. Float graph: numbers pass unchanged. NaN and infinity are refused, and so is a shape that does not fit.
    """
    problems = [f"input '{name}' is missing" for name in graph.inputs if name not in inputs]
    problems += [
        f"'{name}' is not an input (they are {', '.join(graph.inputs)})" for name in inputs if name not in graph.inputs
    ]
    arrays: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        if name in inputs:
            array, value = as_array(inputs[name]), graph.values[name]
            problem = _problem(array, value)
            if problem:
                problems.append(f"input '{name}': {problem}")
            else:
                arrays[name] = _round(array, value)
    sizes = {name: batch_size(graph.values[name].shape, array.shape) for name, array in arrays.items()}
    if len({size for size in sizes.values() if size is not None}) > 1:
        problems.append(f"the inputs have different batch sizes: {sizes}")
    if problems:
        raise UsageError(
            "the network cannot take these inputs",
            why="\n       ".join(problems),
            fix="give arrays of the shapes and ranges that `arithmos show` prints"
            if graph.op_set == "int"
            else "give finite numbers, in the shape of the example the network was traced with",
        )
    return arrays


def batch_size(shape: Shape, actual: tuple[int, ...]) -> int | None:
    """How many samples an array of a value of this shape holds; None where the shape has no batch axis."""
    return next((a // -e for e, a in zip(shape, actual, strict=True) if e < 0), None)


def fits(shape: Shape, actual: tuple[int, ...]) -> bool:
    """Whether an array has the shape, for some batch size of at least one."""
    return len(shape) == len(actual) and all(
        a == e if e >= 0 else a > 0 and a % -e == 0 for e, a in zip(shape, actual, strict=True)
    )


def _problem(array: np.ndarray, value: Value) -> str:
    if array.dtype.kind not in "fiub":
        return f"holds {array.dtype}, not numbers"
    if not fits(value.shape, array.shape):
        return f"has shape {array.shape}, the network takes {format_shape(value.shape)}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite"
    if array.dtype.kind == "f" and value.range is not None and value.scale is None:
        return "holds floats, and the input has no scale to round them by; give integers"
    if array.dtype.kind in "iub" and value.range is not None and interval_of(array) not in value.range:
        return f"holds integers in {interval_of(array)}, the network takes {value.range}"
    return ""


def _round(array: np.ndarray, value: Value) -> np.ndarray:
    if value.range is None:
        return array
    if array.dtype.kind == "f":
        assert value.scale is not None
        array = round_to_grid(array, as_float(value.scale), value.range)
    return array.astype(narrowest_dtype(value.range))


def format_shape(shape: Shape) -> str:
    """(N, 3, 32, 32) for (-1, 3, 32, 32); 2N for -2."""
    names = ["N" if e == -1 else f"{-e}N" if e < 0 else str(e) for e in shape]
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
