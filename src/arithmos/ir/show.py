"""A graph as text for people: one line a node, or a Mermaid flowchart."""

from __future__ import annotations

from arithmos.ir.border import format_shape
from arithmos.ir.cost import cost
from arithmos.ir.depth import ActivationDepth, depth
from arithmos.ir.graph import Graph
from arithmos.ir.scale import Dyadic, PerChannel, PowerOfTwo, Scale


def format_scale(scale: Scale | None) -> str:
    """2^-7, 5/2^9, or '16 scales' for a per-channel one."""
    match scale:
        case None:
            return ""
        case PowerOfTwo(exponent):
            return f"2^{exponent}"
        case Dyadic(mul, shift):
            return f"{mul}/2^{shift}"
        case PerChannel(_, scales):
            return f"{len(scales)} scales"


def rows(graph: Graph) -> list[tuple[str, ...]]:
    """(value, op, shape, range, bits, scale, MACs, source) of inputs and nodes, as text."""
    macs = {r.name: r.macs for r in cost(graph).nodes}
    polynomials = {a.name: a for a in depth(graph).activations}
    ops = {node.output: node.op for node in graph.nodes}
    table: list[tuple[str, ...]] = []
    for name in (*graph.inputs, *ops):
        value = graph.values[name]
        table.append(
            (
                name,
                ops.get(name, "input") + (f" {list(polynomials[name].degrees)}" if name in polynomials else ""),
                format_shape(value.shape),
                _taken(polynomials[name]) if name in polynomials else str(value.range or ""),
                str(value.range.width) if value.range else "",
                format_scale(value.scale),
                f"{macs[name]:,}" if macs.get(name) else "",
                str(value.source),
            )
        )
    return table


def _taken(polynomial: ActivationDepth) -> str:
    """What a polynomial takes, in the place of the range that integers have."""
    return "" if polynomial.bound is None else f"|x| <= {polynomial.bound:.6g}"


COLUMNS = ("value", "op", "shape", "range", "bits", "scale", "MACs", "source")


def as_text(graph: Graph) -> str:
    """A table in plain text, then the totals."""
    lines = [COLUMNS, *rows(graph)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    body = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    total, deep = cost(graph), depth(graph)
    if graph.op_set == "poly":
        kept = (
            f"{len(deep.activations)} polynomials of {deep.multiplications:,} multiplications, "
            f"{deep.levels} levels deep, {deep.activation_levels} of them in polynomials"
        )
    else:
        kept = f"{total.table_entries:,} table entries, widest value {total.widest_bits} bits"
    body.append(
        f"{len(graph.nodes)} nodes, {total.macs:,} MACs, {total.parameters:,} parameters, {kept}; "
        f"outputs: {', '.join(graph.outputs)}"
    )
    return "\n".join(body) + "\n"


def as_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart: a box for each input and node, an arrow for each value; constants are left out."""
    number = {name: f"n{i}" for i, name in enumerate((*graph.inputs, *(n.output for n in graph.nodes)))}
    lines = ["flowchart TD"]
    lines += [f'  {number[name]}(["{name} {format_shape(graph.values[name].shape)}"])' for name in graph.inputs]
    for node in graph.nodes:
        value = graph.values[node.output]
        label = f"{node.op}<br/>{node.output}<br/>{format_shape(value.shape)}" + (
            f" {value.range}" if value.range else ""
        )
        lines.append(f'  {number[node.output]}["{label}"]')
        lines += [f"  {number[i]} --> {number[node.output]}" for i in dict.fromkeys(node.inputs) if i in number]
    return "\n".join(lines) + "\n"
