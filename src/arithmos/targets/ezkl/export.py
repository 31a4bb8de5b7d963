"""Write what ezkl reads: model.onnx, run_args.json, input.json, what to expect, and the program that runs it all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arithmos.ir.border import admit
from arithmos.ir.codec import digest, random_inputs
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.targets import onnx_file
from arithmos.targets.ezkl.emission import DIGIT
from arithmos.targets.ezkl.model import build
from arithmos.targets.ezkl.tool import PROGRAM, program
from arithmos.targets.one_sample import samples
from arithmos.targets.onnx_file import MODEL_FILE, Model
from arithmos.targets.public_values import ROLES, shown

EXTERNAL_BYTES = 1 << 31
"""ezkl reads one file: no weights go beside it."""

_README = """# An exact integer network for ezkl

`{model}` holds float tensors, and every number in them is an integer: at `input_scale` 0 and `param_scale` 0 the
witness that ezkl 23.0.5 computes for it is, integer for integer, what the arithmos interpreter computes. It is about
one sample. Public: {public}; the weights are constants of the circuit.

    pip install ezkl==23.0.5     # its package names no licence since January 2024: decide for yourself
    python {program}              # settings, circuit, witness; the outputs compared with expected.json
    python {program} all          # the same, then keys, proof, verification

Neither needs the network. The reference string kzg.srs is made by ezkl's test generator, so whoever ran it could make
false proofs: for real use take `ezkl.get_srs`. By hand, with the names of ezkl's own commands:

    arguments = ezkl.PyRunArgs()   # every entry of run_args.json is an attribute of it; so is logrows, the least k
                                   # whose 2^k hold the `num_rows` that settings.json then says, and 12 more
    ezkl.gen_settings("{model}", "settings.json", py_run_args=arguments)      # and no calibrate_settings
    ezkl.compile_circuit("{model}", "circuit.ezkl", "settings.json")
    ezkl.gen_witness("input.json", "circuit.ezkl", "witness.json")
    ezkl.gen_srs("kzg.srs", logrows)
    ezkl.setup("circuit.ezkl", "vk.key", "pk.key", srs_path="kzg.srs")
    ezkl.prove("witness.json", "circuit.ezkl", "pk.key", "proof.json", srs_path="kzg.srs")
    ezkl.verify("proof.json", "settings.json", "vk.key", srs_path="kzg.srs")

`decomp_legs` is {legs}: ezkl splits numbers into digits of {digit} bits, and so many hold every number that this
network can produce, proven for all inputs. A rounding `floor((x * M + half) / 2^n)` is a product, a sum, and for each
digit of the shift `Mul(2^-{digit})` and `Floor`; the last, shorter one is filled up by a product with a power of two.
A clip to hi is `hi - Relu(hi - x)`. Each convolution is negated twice, once in its weights: ezkl's reader would fold
the numbers behind it into the weights, in float32. Constants of more than 24 significant bits are sums of two.

Network {digest}
"""


def export(
    graph: Graph, folder: Path, *, public: str = "output", golden: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write model.onnx, run_args.json, input.json, expected.json, prove.py and README.md into an existing folder.

    public: what a verifier is shown, of input and output ("input,output" for both). golden: inputs, of which the first
    is written; a seeded random one by default. Raises MissingTool without onnx, UsageError for other options or inputs.
    """
    roles = shown(public)
    model, arguments = build(graph, every=False)
    arguments |= {f"{role}_visibility": "public" if role in roles else "private" for role in ROLES}
    given = admit(graph, random_inputs(graph, 1) if golden is None else golden)
    sample = samples(graph, given)[0]
    write_model(model, arguments, folder)
    write_inputs(model, sample, folder / "input.json")
    outputs = evaluate(graph, sample)
    expected = {port.value: outputs[port.value].reshape(-1).tolist() for port in model.outputs}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    (folder / PROGRAM).write_text(program())
    facts = {"model": MODEL_FILE, "program": PROGRAM, "public": " and ".join(roles), "digest": digest(graph)}
    (folder / "README.md").write_text(_README.format(**facts, legs=arguments["decomp_legs"], digit=DIGIT))


def write_model(model: Model, arguments: dict[str, Any], folder: Path) -> None:
    """model.onnx and run_args.json."""
    onnx_file.write(model, folder / MODEL_FILE, EXTERNAL_BYTES)
    (folder / "run_args.json").write_text(json.dumps(arguments, indent=1, sort_keys=True) + "\n")


def write_inputs(model: Model, sample: Mapping[str, np.ndarray], path: Path) -> None:
    """One sample as ezkl takes it: the numbers of each input in one row."""
    rows = [np.asarray(sample[port.value]).reshape(-1).tolist() for port in model.inputs]
    path.write_text(json.dumps({"input_data": rows}) + "\n")
