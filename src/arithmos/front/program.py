"""The exported program of a module: torch.export without decompositions, with a free batch."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx import Node

from arithmos.errors import UnsupportedNetwork, UsageError
from arithmos.front.origin import is_users

logger = logging.getLogger("arithmos")

Example = tuple[Any, ...] | dict[str, Any]
"""Positional or keyword arguments of a module."""


def export(model: nn.Module, example: Example) -> ExportedProgram:
    """The program with axis 0 of every input that has the batch dynamic; with fixed sizes where a module fixes them.

    The batch is what the first tensor has on axis 0; an input with another extent there has none. A batch of one is
    exported as two, for torch takes one as a constant. Raises UnsupportedNetwork with the user's line, UsageError where
    the module itself cannot be run on the example.
    """
    tensors = [x for x in flat(example) if isinstance(x, torch.Tensor) and x.dim()]
    if not tensors:
        return _attempt(model, example, dynamic=False, strict=False)
    batch = tensors[0].shape[0]
    enlarged = _mapped(example, lambda x: torch.cat([x, x]) if _has_batch(x, 1) else x) if batch == 1 else example
    failure: UnsupportedNetwork | None = None
    # len(x) gives torch.export a plain number; its strict mode reads the code instead and keeps the size dynamic.
    for strict in (False, True):
        try:
            program = _attempt(model, enlarged, dynamic=True, strict=strict)
        except UnsupportedNetwork as error:
            failure = failure or error
            if error.what.startswith(CONTROL_FLOW):
                raise
            continue
        if _is_dynamic(program):
            return program
    try:
        program = _attempt(model, example, dynamic=False, strict=False)
    except UnsupportedNetwork as error:
        _check_example(model, example)
        raise (error if failure is None else failure) from None
    reason = f" ({failure.why})" if failure else ""
    logger.warning("the module fixes its batch size: the graph takes a batch of %d only%s", batch, reason)
    return program


def functional(program: ExportedProgram) -> ExportedProgram:
    """The program without writes in place that others could see: torch makes copies there."""
    if not _needs_copies(program):
        return program
    with _quiet():
        copied: ExportedProgram = program.run_decompositions({})
    return copied


CONTROL_FLOW = "the network decides by values it computes"


def _attempt(model: nn.Module, example: Example, *, dynamic: bool, strict: bool) -> ExportedProgram:
    """One call of torch.export, its failures explained."""
    args, kwargs = ((), example) if isinstance(example, dict) else (example, None)
    tensors = [x for x in flat(example) if isinstance(x, torch.Tensor) and x.dim()]
    batch = tensors[0].shape[0] if tensors else 0
    free: Any = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]  # by tensor, whatever forward takes
    for tensor in tensors:
        if dynamic and _has_batch(tensor, batch):
            free[tensor] = {0: Dim.AUTO}
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(model, args, kwargs, dynamic_shapes=free if dynamic else None, strict=strict)
    except Exception as error:  # noqa: BLE001 (the module's forward runs here: anything may come)
        raise _explained(error) from None


def _check_example(model: nn.Module, example: Example) -> None:
    """Raise UsageError where the module itself cannot be run on the example, which is then no fault of the tracing."""
    args, kwargs = ((), example) if isinstance(example, dict) else (example, {})
    try:
        with torch.no_grad(), _quiet():
            model(*args, **kwargs)
    except Exception as error:  # the module's forward runs here: anything may come
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if is_users(f.filename) and f.filename != __file__
        ]
        shapes = [
            f"{'x'.join(map(str, x.shape)) or 'a number'} of {x.dtype}" for x in flat(example) if hasattr(x, "dtype")
        ]
        expected = _first_layer(model)
        raise UsageError(
            f"the network cannot be run on the example ({', '.join(shapes).replace('torch.', '')})",
            where=f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}  {frames[-1].line}" if frames else "",
            why=f"{_first_line(error)}" + (f"\n{expected}" if expected else ""),
            fix="give an example of the shapes and types that forward takes, the batch first; or correct forward",
        ) from error


def _first_layer(model: nn.Module) -> str:
    """What the first layer that has weights takes."""
    for name, layer in model.named_modules():
        for kind, count in (("channels", "in_channels"), ("features", "in_features")):
            if isinstance(getattr(layer, count, None), int):
                return f"its first layer, {name or type(layer).__name__}, takes {getattr(layer, count)} {kind}"
    return ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")


def _explained(error: Exception) -> UnsupportedNetwork:
    """What torch.export said, in short, with the user's line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_users(f.filename) and f.filename != __file__]
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    code = frames[-1].line if frames else ""
    if "data-dependent" in str(error):
        return UnsupportedNetwork(
            CONTROL_FLOW,
            where=f"{where}  {code}".strip(),
            why="a graph has the same operations for every input; here a number or condition comes out of a tensor",
            fix="compute both sides and choose with torch.where(condition, a, b),\n"
            "       or make the condition a constant: an argument of the module's __init__",
        )
    return UnsupportedNetwork(
        "torch.export cannot follow the network",
        where=f"{where}  {code}".strip(),
        why=_first_line(error),
        fix="check that model(*example) runs; keep forward to torch operations on tensors",
    )


LOGGERS = ("torch", "torch.fx", "torch._dynamo", "torch._export", "torch._subclasses")


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's own notes on an export (deprecations of its internals, whole graphs) say nothing to a user."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [log.level for log in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", module=r"torch\b")
        try:
            for log in loggers:
                log.setLevel(logging.CRITICAL)
            with redirect_stderr(io.StringIO()):  # where torch prints the graph so far before it raises
                yield
        finally:
            for log, level in zip(loggers, levels, strict=True):
                log.setLevel(level)


def _has_batch(x: Any, batch: int) -> bool:
    return isinstance(x, torch.Tensor) and x.dim() > 0 and x.shape[0] == batch


def _is_dynamic(program: ExportedProgram) -> bool:
    user = set(program.graph_signature.user_inputs)
    values = [n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder" and n.name in user]
    sizes = [size for v in values if isinstance(v, torch.Tensor) for size in v.shape[:1]]
    return any(isinstance(size, torch.SymInt) and not size.node.expr.is_Integer for size in sizes)


def flat(x: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and dictionaries."""
    if isinstance(x, Mapping):
        x = list(x.values())
    if isinstance(x, list | tuple):
        for item in x:
            yield from flat(item)
    else:
        yield x


def _mapped(x: Any, change: Any) -> Any:
    if isinstance(x, Mapping):
        return {key: _mapped(value, change) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(_mapped(item, change) for item in x)
    return change(x)


RETURNS_ITS_INPUT = ("aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default")


def _needs_copies(program: ExportedProgram) -> bool:
    """Whether a write in place reaches a value that something else reads: a view, an input, or a use further down."""
    order = {node: i for i, node in enumerate(program.graph.nodes)}
    for node in program.graph.nodes:
        for target in _written(node):
            if target.op == "placeholder" or _is_view(target):
                return True
            if any(user is not node and (order[user] > order[node] or _is_view(user)) for user in target.users):
                return True
    return False


def _written(node: Node) -> list[Node]:
    """The arguments that an operation changes."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    written = []
    for i, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name)
            written += [x for x in flat(value) if isinstance(x, Node)]
    return written


def _is_view(node: Node) -> bool:
    """Whether the result may be memory of an argument (that was not written there)."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return node.op == "call_function"
    aliases = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
    return aliases or str(node.target) in RETURNS_ITS_INPUT
