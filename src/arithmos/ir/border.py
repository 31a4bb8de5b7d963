"""The border of an integer network: how images become the integers of its inputs, and integers real numbers again.

net = ar.load("out/net")
integers = to_integers(net, images)              # {input: integers}, rounded to the grid of each input
values = ar.run(net, integers, every=True)       # {value: integers}, whatever runs the network
logits = to_real(net, values)["fc"]              # integers times their scale
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arithmos.errors import UsageError
from arithmos.ir.graph import Graph, Shape, Value
from arithmos.ir.interval import Interval, interval_of, narrowest_dtype
from arithmos.ir.scale import as_float


def as_array(data: Any) -> np.ndarray:
    """The numpy array of an array, a nested list or a torch tensor (on any device), without importing torch.

    Tensors of 8- or 16-bit floats become float32, which is exact. Raises UsageError for what is no array.
    """
    try:
        if hasattr(data, "detach"):
            data = data.detach().cpu()
            if data.is_floating_point() and data.element_size() < 4:
                data = data.float()  # numpy has no bfloat16
        return np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"an input of type {type(data).__name__} is no array",
            why=str(error).partition("\n")[0],
            fix="give a numpy array, a torch tensor, or lists of numbers of equal length",
        ) from error


def named_inputs(graph: Graph, given: Any) -> dict[str, np.ndarray]:
    """{name: array} of inputs in any form: one array, a tuple of them in the network's order, or a mapping.

    For a network of one input a tuple or list is a tuple of inputs only if it begins with an array of the input's
    rank; otherwise it is an array itself. Raises UsageError where there are more or fewer than the network has.
    """
    if isinstance(given, Mapping):
        return {str(name): as_array(array) for name, array in given.items()}
    arrays = list(given) if is_inputs(graph, given) else [given]
    if len(arrays) != len(graph.inputs):
        raise UsageError(
            f"the network has {len(graph.inputs)} input{'s' * (len(graph.inputs) != 1)}, "
            f"{len(arrays)} array{'s were' if len(arrays) != 1 else ' was'} given",
            why=f"its inputs are {', '.join(graph.inputs)}",
            fix="give a tuple of arrays in this order, or a dictionary {name: array}",
        )
    return dict(zip(graph.inputs, map(as_array, arrays), strict=True))


def is_inputs(graph: Graph, given: Any) -> bool:
    """Whether a tuple or list holds inputs in the network's order, and is not itself an array."""
    if not isinstance(given, tuple | list) or not given:
        return False
    if len(graph.inputs) > 1:
        return len(given) == len(graph.inputs) or hasattr(given[0], "ndim")
    return bool(graph.inputs) and getattr(given[0], "ndim", None) == len(graph.values[graph.inputs[0]].shape)


def round_to_grid(x: np.ndarray, step: np.ndarray | float, grid: Interval) -> np.ndarray:
    """clip(floor(x / step + 1/2), grid) in float64: the one rounding rule at the border; ties go towards +inf."""
    with np.errstate(over="ignore"):  # what is beyond float64 is beyond the grid
        return np.clip(np.floor(x.astype(np.float64) / step + 0.5), grid.lo, grid.hi).astype(np.int64)


def to_integers(graph: Graph, inputs: Any) -> dict[str, np.ndarray]:
    """{input: integers} of real inputs: clip(floor(x / scale + 1/2), range), ties towards +inf, in the narrowest types.

    inputs: in any form that ar.run takes; integers pass, and are checked. Raises UsageError as `admit`, and for a float
    graph, which has no grids.
    """
    if graph.op_set != "int":
        raise UsageError(
            "a float graph has no grids",
            why="real inputs become integers where an integer network begins",
            fix="give what ar.quantize returns, or ar.load",
        )
    return admit(graph, named_inputs(graph, inputs))


def to_real(graph: Graph, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{value: integers * scale} in float64: what the integers of values stand for.

    values: any values of an integer graph by name. Those without a scale (indices, counts) stay integers, for they
    stand for themselves. Raises UsageError for names that the graph has not.
    """
    if unknown := [name for name in values if name not in graph.values]:
        raise UsageError(
            f"the network has no value {', '.join(map(repr, unknown))}",
            why=f"its outputs are {', '.join(graph.outputs)}",
            fix="name values as `arithmos show` prints them",
        )
    scales = {name: graph.values[name].scale for name in values}
    return {
        name: as_array(array) if (scale := scales[name]) is None else as_array(array) * as_float(scale)
        for name, array in values.items()
    }


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
        empty = " and holds no sample" if 0 in array.shape and 0 not in value.shape else ""
        return f"has shape {array.shape}{empty}, the network takes {format_shape(value.shape)}"
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
