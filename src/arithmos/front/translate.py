"""Translation: an exported program, node by node, into a float graph; problems are collected and raised together."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import GraphModule, Node

from arithmos.errors import UnsupportedNetwork
from arithmos.front.aten import DEFAULT_HINT, HINTS, ROWS, TAKES_SIZES, Rule
from arithmos.front.call import Call, Computed, Folded, Refusal, Translation
from arithmos.front.keys import keyed, output_keys
from arithmos.front.origin import operation, source, value_name
from arithmos.front.size import FOLD_BATCH, Batches, BatchSymbols, UnknownSize, at_fold_batch, symbols_of
from arithmos.ir.graph import Graph, Shape, Source
from arithmos.passes.rewrite import prune

SHAPE_ONLY = frozenset(
    f"aten.{name}.default"
    for name in ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
)
"""Operations that take a tensor for its shape and type alone."""

SILENT = ("aten._assert", "aten.sym_constrain", "aten.sym_size", "aten.sym_numel", "aten.sym_stride")

UNKNOWN_SIZE_FIX = (
    "use sizes that are numbers or multiples of the batch, as x.view(b * t, d), and torch.where(mask, x, 0) for x[mask]"
)

Symbolic = torch.SymInt | torch.SymFloat | torch.SymBool


class Broken:
    """Stands for the result of an operation that was refused and whose shape is not known."""


def translate(program: ExportedProgram, names: Sequence[str] | None = None) -> Graph:
    """The float graph of a program. Raises UnsupportedNetwork with every operation that cannot be expressed."""
    walk = Walk(program, names)
    outputs = walk.run(program.graph_module, walk.arguments())
    walk.check_outputs(outputs)
    if walk.problems:
        count = len(walk.problems)
        raise UnsupportedNetwork(
            f"the network has {count} operation{'s' if count > 1 else ''} that cannot be traced",
            why="\n       ".join(walk.problems),
            fix="change these lines as they say; `arithmos.front.aten.ROWS` lists every operation that is supported",
        )
    specs = program.graph_signature.output_specs
    returned = [o for s, o in zip(specs, outputs, strict=True) if s.kind == OutputKind.USER_OUTPUT]
    kept = [(key, o) for key, o in zip(output_keys(program), returned, strict=True) if o is not None]
    calls = [Call(walk.translation, "output", Source(), (o.shape,), o.dtype) for _, o in kept]
    graph = walk.translation.builder.graph(*(c.named(o) for c, (_, o) in zip(calls, kept, strict=True)))
    return keyed(prune(graph), [key for key, _ in kept])


class Walk:
    """One pass over a program's nodes. A class because problems and constants gather while it lasts."""

    def __init__(self, program: ExportedProgram, names: Sequence[str] | None) -> None:
        self.program = program
        self.names = names
        self.translation = Translation()
        self.problems: list[str] = []
        signature = program.graph_signature
        self.placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
        user = set(signature.user_inputs)
        values = [node.meta.get("val") for node in self.placeholders if node.name in user]
        self.sizes = BatchSymbols(symbols_of(s for v in values if isinstance(v, torch.Tensor) for s in v.shape[:1]))

    def problem(self, node: Node, why: str, fix: str) -> None:
        """Note that a node cannot be expressed."""
        where = str(source(node)) or "the network"
        line = f"{where}: {operation(node)}: {why}; {fix}"
        if line not in self.problems:
            self.problems.append(line)

    def arguments(self) -> list[Any]:
        """What each placeholder stands for: a constant of the state, an input, or a number fixed while exporting."""
        given: list[Any] = []
        inputs = iter(self.names or ())
        for node, spec in zip(self.placeholders, self.program.graph_signature.input_specs, strict=True):
            value = node.meta.get("val")
            if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
                stored: Any = self.program.state_dict.get(spec.target, self.program.constants.get(spec.target))
                given.append(Folded(stored.detach(), tuple(stored.shape), spec.target))
            elif spec.kind == InputKind.CONSTANT_TENSOR:
                stored = self.program.constants[spec.target]
                given.append(Folded(stored.detach(), tuple(stored.shape), spec.target))
            elif isinstance(value, torch.Tensor):
                given.append(self._input(node, value, next(inputs, node.name)))
            else:
                given.append(getattr(spec.arg, "value", value))
        return given

    def _input(self, node: Node, value: torch.Tensor, name: str) -> Computed | Broken:
        try:
            shape = self.sizes.shape(value)
        except UnknownSize as error:
            self.problem(node, str(error), "export with the batch on axis 0 as the only dynamic size")
            return Broken()
        return self.translation.input(name, shape, value.dtype)

    def run(self, module: GraphModule, given: Sequence[Any]) -> list[Any]:
        """The values of the module's outputs."""
        known: dict[Node, Any] = {}
        arguments = iter(given)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                known[node] = next(arguments)
            elif node.op == "get_attr":
                known[node] = self._attribute(module, str(node.target))
            elif node.op == "output":
                flat: list[Any] = list(node.args[0]) if isinstance(node.args[0], list | tuple) else [node.args[0]]
                return [known[o] if isinstance(o, Node) else o for o in flat]
            else:
                known[node] = self._call(node, _resolved(_arguments(node), known))
        raise AssertionError("a graph module without an output node")

    def _attribute(self, module: GraphModule, target: str) -> Any:
        found: Any = module
        for part in target.split("."):
            found = getattr(found, part)
        return Folded(found.detach(), tuple(found.shape), target) if isinstance(found, torch.Tensor) else found

    def _call(self, node: Node, arguments: list[Any]) -> Any:
        value, target = node.meta.get("val"), str(node.target)
        if target == "wrap_with_set_grad_enabled":
            return tuple(self.run(arguments[1], arguments[2:]))
        if node.target is operator.getitem:
            return self._item(node, *arguments)
        is_number = isinstance(value, Symbolic | int | float | bool) and not _tensors(arguments)
        if target.startswith(SILENT) or is_number:
            return self._number(node, value, arguments)
        try:
            if self._foldable(node, target, arguments):
                return self._fold(node, arguments)
            if any(isinstance(a, Broken) for a in _leaves(arguments)):
                _rule(node)
                return Broken()
            return self._emit(node, arguments)
        except Refusal as refusal:
            self.problem(node, refusal.why, refusal.fix)
        except UnknownSize as error:
            self.problem(node, str(error), UNKNOWN_SIZE_FIX)
        except UnsupportedNetwork as error:
            self.problem(node, error.why, error.fix)
        return self._stand_in(value)

    def _item(self, node: Node, several: Any, index: int) -> Any:
        if isinstance(several, Broken):
            return several
        if several[index] is not None or not node.users:
            return several[index]
        self.problem(node, f"result {index} of it is not supported", "use its first result only")
        return self._stand_in(node.meta.get("val"))

    def _number(self, node: Node, value: object, arguments: list[Any]) -> Any:
        """A number that a size or a constant gave: itself, a multiple of the batch, or the symbol if it is neither."""
        if isinstance(value, torch.SymInt):
            try:
                extent = self.sizes.extent(value)
                return extent if extent >= 0 else Batches(-extent)
            except UnknownSize:
                pass
        if arguments and all(isinstance(a, int | float) for a in arguments) and callable(node.target):
            return node.target(*arguments)  # a number read out of a constant, and what is computed from it
        return value

    def _foldable(self, node: Node, target: str, arguments: list[Any]) -> bool:
        leaves = list(_leaves(arguments))
        if not isinstance(node.target, torch._ops.OpOverload) or any(isinstance(a, Symbolic | Broken) for a in leaves):
            return False
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            return False
        return target in SHAPE_ONLY or not any(isinstance(a, Computed) for a in leaves)

    def _fold(self, node: Node, arguments: list[Any]) -> Any:
        """Evaluate an operation of constants for FOLD_BATCH samples; what it would change in place is copied."""

        def concrete(x: Any) -> Any:
            if isinstance(x, Batches):
                return x.multiple * FOLD_BATCH
            if isinstance(x, Computed):
                return torch.zeros(at_fold_batch(x.shape), dtype=x.dtype)  # only its shape is read
            return x.tensor if isinstance(x, Folded) else x

        target: Any = node.target
        positional, named = [], {}
        for argument, value in zip(target._schema.arguments, _mapped(arguments, concrete), strict=True):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = value.clone()
            if argument.kwarg_only:
                named[argument.name] = value
            else:
                positional.append(value)
        try:
            with torch.no_grad():
                result = target(*positional, **named)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            why = f"torch cannot compute it for a batch of {FOLD_BATCH}: {error}"
            raise Refusal(why, "compute it once in __init__") from error
        if not isinstance(result, torch.Tensor | list | tuple):
            return result
        names = {a.tensor.untyped_storage().data_ptr(): a.name for a in _leaves(arguments) if isinstance(a, Folded)}

        def folded(r: torch.Tensor, meta: torch.Tensor) -> Folded:  # a view of a parameter keeps its name
            return Folded(r, self._folded_shape(meta, r), names.get(r.untyped_storage().data_ptr(), value_name(node)))

        meta = node.meta["val"]
        if isinstance(result, torch.Tensor):
            return folded(result, meta)
        return tuple(folded(r, m) for r, m in zip(result, meta, strict=True))

    def _folded_shape(self, meta: torch.Tensor, result: torch.Tensor) -> Shape:
        try:
            return self.sizes.shape(meta)
        except UnknownSize:
            if self.sizes.symbols & symbols_of(meta.shape):
                raise
            return tuple(result.shape)  # its size was read out of a constant

    def _emit(self, node: Node, arguments: list[Any]) -> Any:
        rule = _rule(node)
        numbers = arguments if str(node.target) in TAKES_SIZES else _leaves(arguments)
        if any(isinstance(a, Symbolic | Batches) for a in numbers):
            raise Refusal("it computes with the batch size as a number", "use numbers that do not depend on the batch")
        metas = node.meta["val"] if isinstance(node.meta["val"], list | tuple) else [node.meta["val"]]
        tensors = [m for m in metas if isinstance(m, torch.Tensor)]
        shapes = tuple(self.sizes.shape(m) for m in tensors)
        call = Call(self.translation, value_name(node), source(node), shapes, tensors[0].dtype)
        result = rule(call, *arguments)
        several = result if isinstance(result, tuple) else (result,)
        typed = []
        for value, meta, shape in zip(several, tensors, shapes, strict=True):
            assert value is None or value.shape == shape, f"{node.target} made {value.shape}, torch makes {shape}"
            typed.append(replace(value, dtype=meta.dtype) if isinstance(value, Computed) else value)
        return tuple(typed) if isinstance(result, tuple) else typed[0]

    def _stand_in(self, value: Any) -> Any:
        """An input in place of what was refused, so that the operations behind it are checked too."""
        if isinstance(value, list | tuple):
            return tuple(self._stand_in(v) for v in value)
        try:
            return self.translation.input("refused", self.sizes.shape(value), value.dtype)
        except (UnknownSize, AttributeError):
            return Broken()

    def check_outputs(self, outputs: Sequence[Any]) -> None:
        """Note outputs that are no tensors, and state that the network changes."""
        signature = self.program.graph_signature
        for spec, value in zip(signature.output_specs, outputs, strict=True):
            if spec.kind == OutputKind.BUFFER_MUTATION:
                self.problems.append(_changes_state(str(spec.target)))
            elif spec.kind != OutputKind.USER_OUTPUT:
                continue
            elif not isinstance(value, Computed | Folded | Broken) and value is not None:
                self.problems.append(f"the network: it returns {value!r}; return tensors only")
        if not any(isinstance(v, Computed | Folded | Broken) for v in outputs):
            self.problems.append("the network: it returns no tensor; return what it computes")


def _rule(node: Node) -> Rule:
    """The row of an operation; one that works in place has that of its twin that does not."""
    target = str(node.target)
    rule = ROWS.get(target)
    if rule is None and target.count(".") == 2:
        namespace, name, overload = target.split(".")
        rule = ROWS.get(f"{namespace}.{name.rstrip('_')}.{overload}")
    if rule is None:
        raise Refusal(f"there is no float op for {target}", HINTS.get(operation(node), DEFAULT_HINT))
    return rule


def _arguments(node: Node) -> list[Any]:
    """The arguments in the order of the schema, with defaults."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return [*node.args, *node.kwargs.values()]
    listed: list[Any] = []
    for i, argument in enumerate(schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        listed.append(node.args[i] if i < len(node.args) else node.kwargs.get(argument.name, default))
    return listed


def _mapped(x: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(x, list | tuple):
        return [_mapped(item, change) for item in x]
    return change(x)


def _resolved(arguments: list[Any], known: dict[Node, Any]) -> list[Any]:
    resolved: list[Any] = _mapped(arguments, lambda x: known[x] if isinstance(x, Node) else x)
    return resolved


def _leaves(x: Any) -> Iterable[Any]:
    if isinstance(x, list | tuple):
        for item in x:
            yield from _leaves(item)
    else:
        yield x


def _tensors(arguments: list[Any]) -> bool:
    return any(isinstance(a, Computed | Folded | Broken) for a in _leaves(arguments))


def _changes_state(name: str) -> str:
    return f"{name}: forward changes this buffer, so results depend on earlier calls; keep state outside of the network"
