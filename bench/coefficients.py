"""Coefficient sets: proven errors against the published ones, seconds to make them.

--write renews the shipped file; --front prints the table of arithmos.approx.front, measured anew.
"""

from __future__ import annotations

import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share two cores

from arithmos import atomic
from arithmos.approx import coefficients, sets
from arithmos.approx.composite import Composite
from arithmos.approx.front import LOG2_ERRORS
from record import record

REACHED = {
    4: (-4.752, -5.444),
    5: (-5.960, -6.648),
    6: (-6.188, -7.005),
    7: (-7.211, -7.977),
    8: (-8.318, -9.026),
    9: (-9.338, -10.056),
    10: (-10.420, -11.125),
    11: (-11.612, -12.307),
    12: (-12.668, -13.353),
    13: (-13.705, -14.394),
    14: (-14.644, -15.339),
}
"""alpha -> log2 errors of an earlier search by other means, without and with the constant: what is to be reached."""


def timed(degrees: tuple[int, ...], offset: bool) -> tuple[Composite, float]:
    """The set, made from nothing, and the CPU seconds that took."""
    start = time.process_time()
    return sets.made(degrees, offset=offset), time.process_time() - start


def main(write: bool = False, quick: bool = False) -> dict[str, Any]:
    """All 22 sets in two processes, the longest first (quick: alpha 4 to 8)."""
    start = time.perf_counter()
    wanted = [(alpha, offset) for alpha in sets.PUBLISHED if not quick or alpha <= 8 for offset in (False, True)]
    with ProcessPoolExecutor(2) as pool:
        jobs = {key: pool.submit(timed, sets.PUBLISHED[key[0]], key[1]) for key in reversed(wanted)}
        found = {}
        for key in wanted:
            found[key] = jobs[key].result()
            print(key, found[key][0].degrees, round(math.log2(found[key][0].error or 1), 4), round(found[key][1], 1))
    text = coefficients.text(found[key][0] for key in wanted)
    rows = {str(alpha): row(alpha, found) for alpha, offset in wanted if offset}
    figures: dict[str, Any] = {"sets": rows, "wall_s": round(time.perf_counter() - start, 1)}
    if not quick:
        figures["same_digits_as_shipped"] = text == sets.SHIPPED.read_text(encoding="utf-8")
    if write:
        with atomic.output_file(sets.SHIPPED, force=True) as draft:
            draft.write_text(text, encoding="utf-8")
    return record("coefficients", figures) if not quick else figures


def front() -> None:
    """The table LOG2_ERRORS, measured anew: an hour of a core."""
    with ProcessPoolExecutor(2) as pool:
        jobs = {(d, offset): pool.submit(timed, d, offset) for d in LOG2_ERRORS for offset in (False, True)}
        for degrees in LOG2_ERRORS:
            errors = [math.log2(jobs[degrees, offset].result()[0].error or 1) for offset in (False, True)]
            print(f"    {degrees}: ({errors[0]:.3f}, {errors[1]:.3f}),")


def row(alpha: int, found: dict[tuple[int, bool], tuple[Composite, float]]) -> dict[str, Any]:
    """One alpha: log2 of the proven errors, the bits gained on the published set, seconds."""
    (plain, plain_s), (free, free_s) = found[alpha, False], found[alpha, True]
    errors = [math.log2(composite.error or 1) for composite in (plain, free)]
    published = sets.PUBLISHED_LOG2_ERROR[alpha]
    return {
        "degrees": list(plain.degrees),
        "published_log2": published,
        "log2": round(errors[0], 4),
        "log2_with_constant": round(errors[1], 4),
        "bits_gained": round(published - errors[0], 3),
        "bits_gained_with_constant": round(published - errors[1], 3),
        "reached_before_log2": REACHED[alpha][0],
        "reached_before_log2_with_constant": REACHED[alpha][1],
        "cpu_s": round(plain_s + free_s, 1),
    }


if __name__ == "__main__":
    if "--front" in sys.argv:
        front()
    else:
        print(main("--write" in sys.argv, "--quick" in sys.argv))
