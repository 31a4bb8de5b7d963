"""What a proof will cost, before anything is made: constraints exactly, seconds and bytes by a fitted model.

Seconds are processor seconds of groth16py 0.2.0; both cores of the measuring machine shared them. The model is linear,
because Groth16's sums over wires and its transforms over constraints are (but for a logarithm); `bench/zk.py` fits it.
"""

from __future__ import annotations

from dataclasses import dataclass

from arithmos.errors import UsageError
from arithmos.ir.cost import elements
from arithmos.ir.graph import Graph
from arithmos.targets.zk.circuit import Circuit, planned
from arithmos.targets.zk.statement import statement

SPREAD = 1.5
"""Predictions are given from 1 / SPREAD to SPREAD times the model, which holds every circuit measured (see bench)."""

SETUP_S = (0.0, 66e-6, 2.2e-6)
PROVE_S = (0.0, 13.4e-6, 1.1e-6)
MEMORY_BYTES = (20.6e6, 2093.0, 117.0)
KEY_BYTES = (0.0, 373.0, 45.6)
"""A constant, and how much for each constraint and each non-zero."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A prediction and its bounds."""

    expected: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """One gadget of one value."""

    value: str
    gadget: str
    elements: int
    constraints: int
    nonzeros: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The cost of one proof. Exact but for the non-zeros, which are an upper bound, and the estimates."""

    rows: tuple[Row, ...]
    constraints: int
    wires: int
    nonzeros: int
    setup_s: Estimate
    prove_s: Estimate
    memory_bytes: Estimate
    key_bytes: Estimate

    @property
    def r1cs_bytes(self) -> int:
        """Size of circuit.r1cs, at most."""
        return 112 + 36 * self.nonzeros + 12 * self.constraints + 8 * self.wires

    @property
    def wtns_bytes(self) -> int:
        """Size of witness.wtns."""
        return 76 + 32 * self.wires


def cost(graph: Graph, public: tuple[str, ...] = ("output",), output: str = "values") -> Plan:
    """The plan for a network. Seconds for the largest, and less memory than its weights take."""
    return plan_of(planned(statement(graph, output), public))


def plan_of(circuit: Circuit) -> Plan:
    """The plan of a circuit."""
    rows = tuple(
        Row(value, gadget, elements(circuit.graph.values[value].shape), count.constraints, count.nonzeros)
        for (value, gadget), count in circuit.counts.items()
        if count.constraints
    )
    n, nonzeros = circuit.n_constraints, sum(row.nonzeros for row in rows)
    return Plan(
        rows,
        n,
        circuit.n_wires,
        nonzeros,
        *(_estimate(model, n, nonzeros) for model in (SETUP_S, PROVE_S, MEMORY_BYTES, KEY_BYTES)),
    )


def admit_memory(plan: Plan, max_bytes: int, limit: str = "allowed") -> None:
    """Raise UsageError where the prover is expected to need more. limit: whose limit it is, "allowed" or "free"."""
    if plan.memory_bytes.expected > max_bytes:
        raise UsageError(
            f"the proof needs about {amount(plan.memory_bytes.expected)}, {amount(max_bytes)} are {limit}",
            why=f"predicted are {memory_text(plan)}",
            fix="allow more (--max-memory), or quantize to fewer bits, or prove a smaller network",
        )


def memory_text(plan: Plan) -> str:
    """What the plan says of memory."""
    memory = plan.memory_bytes
    return f"{amount(memory.least)} to {amount(memory.most)} of memory for {plan.constraints:,} constraints"


def amount(size_bytes: float) -> str:
    """In GB, or in MB where that is less than one."""
    return f"{size_bytes / 1e9:,.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"


def _estimate(model: tuple[float, float, float], constraints: int, nonzeros: int) -> Estimate:
    expected = model[0] + model[1] * constraints + model[2] * nonzeros
    return Estimate(expected, expected / SPREAD, expected * SPREAD)
