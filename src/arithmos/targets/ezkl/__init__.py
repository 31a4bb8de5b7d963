"""ezkl: an ONNX file in which ezkl 23.0.5 computes the interpreter's integers exactly, and proves them (Halo2, KZG)."""

from __future__ import annotations

from arithmos.targets.ezkl.export import export
from arithmos.targets.ezkl.model import EMIT, refuse
from arithmos.targets.ezkl.runner import prepare
from arithmos.targets.target import Target

TARGET = Target("ezkl", "ONNX for ezkl 23.0.5, exact at scale 0", EMIT, prepare, export, refuse)
