"""ONNX: one file of standard operators that stock ONNX Runtime executes to exactly the interpreter's integers."""

from __future__ import annotations

from arithmos.targets.onnx.export import export
from arithmos.targets.onnx.model import EMIT
from arithmos.targets.onnx.runner import prepare
from arithmos.targets.target import Target

TARGET = Target("onnx", "ONNX Runtime on any CPU, standard operators only", EMIT, prepare, export, extra="onnx")
