"""A float or polynomial network on torch: every value in graph order, in float32, polynomials by compiled kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from arithmos.ir.escape import escape_of
from arithmos.ir.graph import Graph, Node, spent_after
from arithmos.ir.interpret import indices
from arithmos.targets.clear.kernel import Kernel, evaluate, kernel_of
from arithmos.train.float_ops import ROWS
from arithmos.train.real_ops import REAL

TABLE = REAL | ROWS


class Network:
    """A graph made ready: constants as tensors, a kernel for each polynomial. A class because it is run many times.

    device: where torch computes. Kernels are compiled for the processor; elsewhere torch evaluates them in chunks.
    """

    def __init__(self, graph: Graph, device: str = "cpu") -> None:
        self.graph, self.device = graph, device
        self.spent, self._whole = spent_after(graph), indices(graph)
        stages = {name for node in graph.nodes if node.op == "polynomial" for name in node.inputs[1:]}
        self.constants = {name: self._tensor(name, a) for name, a in graph.constants.items() if name not in stages}
        self._kernels = {node.output: _kernel(graph, node) for node in graph.nodes if node.op == "polynomial"}

    def outputs(self, inputs: Mapping[str, np.ndarray], *, first_image: int = 0) -> dict[str, np.ndarray]:
        """The outputs by name. Memory is that of the live values and one more."""
        wanted = set(self.graph.outputs)
        found = {n: t for n, t in self.values(inputs, first_image=first_image) if n in wanted}
        found |= {name: self.constants[name] for name in wanted if name in self.constants}
        return {name: found[name].cpu().numpy() for name in self.graph.outputs}

    def stream(self, inputs: Mapping[str, np.ndarray], *, first_image: int = 0) -> Iterator[tuple[str, np.ndarray]]:
        """Every value in graph order, inputs first; each is forgotten after its last reader, none changes later."""
        for name, tensor in self.values(inputs, first_image=first_image):
            yield name, tensor.cpu().numpy()

    @torch.no_grad()
    def values(self, inputs: Mapping[str, np.ndarray], *, first_image: int = 0) -> Iterator[tuple[str, Tensor]]:
        """Every value as a tensor, in graph order, inputs first.

        Raises RangeEscape where a value leaves the interval of its polynomial; first_image is the index of the first.
        """
        graph = self.graph
        live = {name: self._tensor(name, inputs[name]) for name in graph.inputs}
        yield from live.items()
        for node in graph.nodes:
            if node.op == "polynomial":
                result = self._polynomial(node, live[node.inputs[0]], first_image)
            else:
                operands = [live[n] if n in live else self.constants[n] for n in node.inputs]
                result = TABLE[node.op](*operands, **node.attrs)
            yield node.output, result
            live[node.output] = result
            for name in self.spent[node.output]:
                live.pop(name, None)

    def _polynomial(self, node: Node, x: Tensor, first_image: int) -> Tensor:
        x = x.contiguous()
        kernel, bound = self._kernels[node.output], node.attrs["bound"]
        out = torch.empty_like(x)
        peak = evaluate(kernel, x, out, threads=torch.get_num_threads())
        if bound is not None and not peak <= bound:
            raise escape_of(self.graph, node, x.cpu().numpy(), first_image)
        return out

    def _tensor(self, name: str, array: np.ndarray) -> Tensor:
        whole = name in self._whole and array.dtype.kind in "iub"
        given = np.ascontiguousarray(array, dtype=np.int64 if whole else np.float32)
        return torch.from_numpy(given if given.flags.writeable else given.copy()).to(self.device)


def _kernel(graph: Graph, node: Node) -> Kernel:
    return kernel_of([graph.constants[name] for name in node.inputs[1:]], **node.attrs)
