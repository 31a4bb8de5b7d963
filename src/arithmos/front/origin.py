"""Origin of a value: the torch module path, the user's line, and the name that follows from them."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch.fx import Node

from arithmos.ir.graph import Source

TORCH_HOME = str(Path(torch.__file__).parent)

COMPOSITE = (
    "torch.nn.modules.container.",
    "torch.nn.modules.transformer.",
    "torch.nn.modules.rnn.",
    "torch.nn.modules.activation.MultiheadAttention",
)
"""Modules of torch that are several operations; each other one is one, which is named like the module."""

RENAMED = {
    "native_batch_norm_legit_no_training": "batch_norm",
    "native_batch_norm_legit_functional": "batch_norm",
    "native_layer_norm": "layer_norm",
    "native_group_norm": "group_norm",
    "scaled_dot_product_attention": "attention",
    "lift_fresh_copy": "tensor",
    "numpy_T": "transpose",
    "linalg_vector_norm": "norm",
}

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def module_stack(node: Node) -> list[tuple[str, str]]:
    """(module path, class) from the network down to the module whose forward called the operation."""
    entries = (node.meta.get("nn_module_stack") or {}).values()
    stack = [
        (path, kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}") for path, kind in entries
    ]
    return [entry for entry in stack if not entry[0].startswith("_empty_nn_module_stack")]


def user_line(trace: str) -> str:
    """ "model.py:41" of the innermost frame that is not torch's own; "" if there is none."""
    lines = [f"{Path(file).name}:{number}" for file, number in _FRAME.findall(trace) if is_users(file)]
    return lines[-1] if lines else ""


def is_users(file: str) -> bool:
    """Whether a source file is the user's: not torch's, and not code without a file."""
    return not file.startswith((TORCH_HOME, "torch/", "<"))


def source(node: Node) -> Source:
    """Module path and user's line of an operation."""
    stack = module_stack(node)
    return Source(stack[-1][0] if stack else "", user_line(node.meta.get("stack_trace") or ""))


def operation(node: Node) -> str:
    """The operation as users know it: "relu" for aten.relu_.default."""
    schema = getattr(node.target, "_schema", None)
    name = schema.name.split("::")[-1] if schema else getattr(node.target, "__name__", str(node.target))
    name = name.strip("_")
    return RENAMED.get(name, name)


def value_name(node: Node) -> str:
    """The module's path where the module is this one operation, else the path and the operation."""
    stack = module_stack(node)
    path, kind = stack[-1] if stack else ("", "")
    if path and kind.startswith("torch.nn.modules.") and not kind.startswith(COMPOSITE):
        return path
    return f"{path}.{operation(node)}" if path else operation(node)
