"""Write a circuit and a witness: circuit.r1cs, witness.wtns, circuit.json (which wires and constraints are whose)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from arithmos.ir.border import admit
from arithmos.ir.codec import digest, random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import interpret
from arithmos.targets.public_values import shown
from arithmos.targets.target import find, preflight
from arithmos.targets.zk.circuit import Circuit, assign, constrain, planned, size
from arithmos.targets.zk.layout import Rows, document
from arithmos.targets.zk.r1cs import Header, R1csWriter
from arithmos.targets.zk.statement import statement
from arithmos.targets.zk.system import Block
from arithmos.targets.zk.versioned import MAP_FILE
from arithmos.targets.zk.wtns import WtnsWriter

R1CS_FILE, WTNS_FILE, INPUT_FILE = "circuit.r1cs", "witness.wtns", "input.npz"
HIDDEN = {
    "input-hash": "a hash inside the circuit needs Poseidon's constants from a library that is kept well;\n"
    "those for Python had one release, or none for years, and cryptography of our own is no choice",
    "weights-hash": "private weights need such a hash too (see input-hash),\n"
    "and a constraint for each multiplication: 650,000 in LeNet-5",
}
"""What cannot be shown yet, and why."""


def export(
    graph: Graph,
    folder: Path,
    *,
    public: str | tuple[str, ...] = "output",
    output: str = "values",
    golden: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write the circuit, and the witness of the first golden input, into an existing folder.

    public: what a verifier is shown, of input and output ("input,output" for both); what is not shown stays secret.
    output: "values", or "argmax" for the index of the largest alone. golden: inputs; a seeded random one by default.
    Raises UsageError for other options or inputs, UnsupportedNetwork for numbers that no circuit holds.
    """
    circuit = stated(graph, public, output)
    write_circuit(circuit, folder, model=digest(graph), output=output)
    given = admit(graph, random_inputs(graph, 1) if golden is None else golden)
    write_witness(circuit, first_sample(circuit.graph, given), folder / WTNS_FILE)


def stated(graph: Graph, public: str | tuple[str, ...] = "output", output: str = "values") -> Circuit:
    """The planned circuit of what is proved of a network (options as `export`'s).

    Raises UsageError for other options, UnsupportedNetwork for nodes without a circuit: those of the statement too,
    whose pools stand before the roundings and read larger numbers.
    """
    roles, target = shown(public, HIDDEN), find("zk")
    preflight(graph, target)
    proved = statement(graph, output)
    preflight(proved, target)
    return planned(proved, roles)


def write_circuit(circuit: Circuit, folder: Path, **facts: object) -> None:
    """circuit.r1cs and circuit.json, constraints streamed as they are made."""
    n_outputs, n_inputs = circuit.n_public
    n_given = sum(size(circuit.graph, name) for name in circuit.graph.inputs)
    rows = Rows()
    writer = R1csWriter(folder / R1CS_FILE, Header(circuit.n_wires, n_outputs, n_inputs, n_given - n_inputs, 0))

    def both(block: Block) -> None:
        writer.add(block)
        rows.add(block)

    values = constrain(circuit, both)
    writer.close()
    assert writer.n_constraints == circuit.n_constraints, "the plan counted other constraints"
    text = json.dumps(document(circuit, rows, values, writer.n_nonzeros, **facts))
    (folder / MAP_FILE).write_text(text + "\n")


def write_witness(circuit: Circuit, inputs: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """The witness of one sample; returns the outputs. inputs: integers, batch of one."""
    writer = WtnsWriter(path, circuit.n_wires)
    outputs: dict[str, np.ndarray] = {}

    def values() -> Iterator[tuple[str, np.ndarray]]:
        for name, array in interpret(circuit.graph, inputs):
            if name in circuit.graph.outputs:
                outputs[name] = array
            yield name, array

    assign(circuit, values(), writer.add)
    writer.close()
    return outputs


def first_sample(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The first of several samples: a proof is about one."""
    found = {}
    for name, array in inputs.items():
        shape = graph.values[name].shape
        cut = tuple(slice(0, -extent) if extent < 0 else slice(None) for extent in shape)
        found[name] = array[cut]
    return found
