"""zkCNN: the text file its prover reads for one inference, and its integers computed from that text alone.

Source: Liu, Xie, Zhang, "zkCNN: Zero Knowledge Proofs for Convolutional Neural Network Predictions and Accuracy",
ACM CCS 2021, doi:10.1145/3460120.3485379; the program at github.com/TAMUCrypto/zkCNN (MIT).
"""

from __future__ import annotations

from arithmos.targets.target import Target
from arithmos.targets.zkcnn.export import export
from arithmos.targets.zkcnn.refusal import OPS, refuse
from arithmos.targets.zkcnn.runner import prepare

TARGET = Target("zkcnn", "the text that the zkCNN prover reads, and its semantics", OPS, prepare, export, refuse)
