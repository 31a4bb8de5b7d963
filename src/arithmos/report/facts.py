"""Measured facts about a bundle as one JSON document: what report.json holds and what the page is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from arithmos.ir.codec import digest
from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph, producers
from arithmos.ir.interval import Interval, narrowest_dtype
from arithmos.report.accuracy import Accuracy, wilson
from arithmos.report.quantization_error import LayerError
from arithmos.train.data.preparation import Preparation

SCHEMA = 1


def facts(
    net: Graph,
    *,
    name: str,
    origin: Mapping[str, Any],
    environment: Mapping[str, Any],
    layers: Iterable[LayerError] = (),
    accuracy: Accuracy | None = None,
    steps: Iterable[Mapping[str, Any]] = (),
    preparation: Preparation | None = None,
) -> dict[str, Any]:
    """The document. origin: model, weights, data, calibration, seed; steps: {step, wall_s, peak_mb} in order.
    preparation: how pictures become inputs, so that whoever has the bundle can give it pictures.
    """
    total = cost(net)
    return {
        "schema": SCHEMA,
        "name": name,
        "digest": digest(net),
        "origin": dict(origin),
        "cost": {
            "macs": total.macs,
            "parameters": total.parameters,
            "table_entries": total.table_entries,
            "widest_bits": total.widest_bits,
            "constant_bytes": sum(array.nbytes for array in net.constants.values()),
        },
        "layers": [layer_facts(net, layer) for layer in layers],
        "steps": [dict(step) for step in steps],
        "environment": dict(environment),
        "preparation": asdict(preparation) if preparation else None,
    } | ({"accuracy": accuracy_facts(accuracy)} if accuracy else {})


def layer_facts(net: Graph, layer: LayerError) -> dict[str, Any]:
    """One value: what is proven, what was observed, what was lost; `sqnr_db` is null where nothing was or is known."""
    node, value = producers(net).get(layer.name), net.values[layer.name]
    assert value.range is not None
    return {
        "name": layer.name,
        "op": node.op if node else "input",
        "source": str(value.source),
        "proven": [value.range.lo, value.range.hi],
        "observed": [layer.observed.lo, layer.observed.hi],
        "storage": narrowest_dtype(value.range).name,
        "n": layer.n,
        "compared": layer.float_name,
        "sqnr_db": None if layer.sqnr_db is None or math.isinf(layer.sqnr_db) else round(layer.sqnr_db, 3),
        "max_steps": None if layer.max_steps is None else round(layer.max_steps, 6),
        "n_clipped": layer.n_clipped,
        "histogram": list(layer.histogram),
        "bin_width": layer.bin_width,
    }


def accuracy_facts(accuracy: Accuracy) -> dict[str, Any]:
    """Counts, percentages with their 95 % Wilson intervals, and the paired counts."""

    def one(correct: int) -> dict[str, Any]:
        low, high = wilson(correct, accuracy.total)
        percent, interval = 100 * correct / accuracy.total, [100 * low, 100 * high]
        return {
            "correct": correct,
            "total": accuracy.total,
            "percent": round(percent, 4),
            "interval": [round(x, 4) for x in interval],
        }

    return {
        "float": one(accuracy.float_correct),
        "integer": one(accuracy.integer_correct),
        "difference_points": round(accuracy.difference_points, 4),
        "only_float_correct": accuracy.float_correct - accuracy.both,
        "only_integer_correct": accuracy.integer_correct - accuracy.both,
        "same_prediction": accuracy.same,
    }


def width(interval: Interval) -> int:
    """Bits that hold the interval: two's complement, or unsigned where nothing is negative ([0, 255] is 8)."""
    return interval.bits - (interval.lo >= 0)
