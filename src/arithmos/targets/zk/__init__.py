"""Zero knowledge: an integer network as a rank-1 constraint system (iden3's .r1cs and .wtns), proved with Groth16."""

from __future__ import annotations

from arithmos.targets.target import Target
from arithmos.targets.zk.affine import AFFINE
from arithmos.targets.zk.export import export
from arithmos.targets.zk.refusal import refuse
from arithmos.targets.zk.rules import GADGETS
from arithmos.targets.zk.runner import prepare

TARGET = Target(
    "zk", "rank-1 constraints over bn254, for Groth16", AFFINE.keys() | GADGETS.keys(), prepare, export, refuse
)
