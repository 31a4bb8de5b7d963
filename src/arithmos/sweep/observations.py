"""What calibration saw of every value, as a file of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from arithmos.quant.observe import Observation


def write_observations(file: Path, observations: Mapping[str, Observation]) -> list[str]:
    """Write them; the names of the values in the order of the rows, which the reader must be given."""
    seen = list(observations.values())
    arrays = {
        "limits": np.array([(o.lo, o.hi, o.width) for o in seen], dtype=np.float64),
        "counts": np.stack([o.counts for o in seen]),
    }
    for i, o in enumerate(seen):
        arrays |= {f"{i}.channel": o.channel_mean, f"{i}.feature": o.feature_mean}
    file.write_bytes(safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    return list(observations)


def read_observations(file: Path, names: Sequence[str]) -> dict[str, Observation]:
    """The same values again, to the bit."""
    arrays = safetensors.numpy.load_file(file)
    return {
        name: Observation(lo, hi, counts, width, arrays[f"{i}.channel"], arrays[f"{i}.feature"])
        for i, (name, (lo, hi, width), counts) in enumerate(
            zip(names, arrays["limits"].tolist(), arrays["counts"], strict=True)
        )
    }
