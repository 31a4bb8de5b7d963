"""The circuit as a runner: a witness for each sample, checked against every constraint, and each value read off the
wires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from arithmos.ir.graph import Graph, Shape
from arithmos.ir.interpret import interpret
from arithmos.targets.one_sample import samples, together
from arithmos.targets.target import Runner, find, preflight
from arithmos.targets.zk.circuit import assign, constrain, planned
from arithmos.targets.zk.combination import Combination
from arithmos.targets.zk.field import limbs
from arithmos.targets.zk.layout import Rows, document, named
from arithmos.targets.zk.r1cs import part_of
from arithmos.targets.zk.satisfied import satisfied
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.system import Block


def prepare(graph: Graph, every: bool) -> Runner:
    """A function from inputs to the outputs, or to every value, each as its combination of wires gives it.

    Raises AssertionError where a constraint is broken: that would be a defect of ours.
    """
    proved = graph if every else statement(graph)
    if proved is not graph:  # whose own nodes were checked
        preflight(proved, find("zk"))
    circuit = planned(proved)
    blocks: list[Block] = []
    values = constrain(circuit, blocks.append, every=True)
    firsts = np.cumsum([0, *(len(block.a) for block in blocks)])
    system = [part_of(int(first), block) for first, block in zip(firsts[:-1], blocks, strict=True)]

    def one(sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        parts = [np.ones(1, np.int64)]
        seen: dict[str, Shape] = {}

        def computed() -> Iterator[tuple[str, np.ndarray]]:
            for name, array in interpret(proved, sample):
                seen[name] = array.shape
                yield name, array

        assign(circuit, computed(), lambda array: parts.append(array.reshape(-1).astype(np.int64)))
        witness = np.concatenate(parts)
        if failure := satisfied(system, limbs(witness), circuit.n_wires):
            rows = Rows()
            for block in blocks:
                rows.add(block)
            raise AssertionError(f"broken: {named(document(circuit, rows, {}, 0), failure.constraint)}")
        found = {}
        for name, shape in seen.items():
            x = values[name]
            assert isinstance(x, Combination)
            found[name] = _evaluated(x, witness).reshape(shape)
        return found

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        computed = [one(sample) for sample in samples(proved, inputs)]
        constants = {n: np.asarray(graph.constants[n]) for n in graph.outputs if n in graph.constants}
        names = computed[0] if every else [n for n in graph.outputs if n not in constants]
        return {n: together(proved.values[n].shape, [found[n] for found in computed]) for n in names} | constants

    return run


def _evaluated(x: Combination, witness: np.ndarray) -> np.ndarray:
    ends = np.concatenate([[0], np.cumsum(x.coefficients * witness[x.wires])])  # differences are exact modulo 2**64
    return np.asarray(x.constant + ends[x.starts[1:]] - ends[x.starts[:-1]])
