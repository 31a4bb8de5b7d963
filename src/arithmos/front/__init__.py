"""From torch to the float graph: torch.export without decompositions, then one rule for each ATen operation."""

from __future__ import annotations

from arithmos.extras import require

# Every module of this package imports torch at its top: where torch is missing, the reason and the command come first.
require("torch", extra="torch")
