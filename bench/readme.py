"""Put the recorded figures into the pages: every table between `<!-- begin NAME -->` and `<!-- end NAME -->`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import few_bits_tables
from arithmos.ir.ops.polynomial import levels, multiplications
from arithmos.targets.zk.cost import KEY_BYTES, MEMORY_BYTES, PROVE_S, SETUP_S
from pictures import draw
from record import RESULTS, ROOT


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def accuracy(figures: dict[str, Any]) -> str:
    """Top-1 of float and every recipe; a network that was not measured with a recipe has a dash."""
    recipes = list(dict.fromkeys(name for row in figures.values() for name in row if name not in ("images", "float")))
    rows = []
    for network, row in figures.items():
        cells = [f"{row[r]['top1']:.1f} ({0.0 - row[r]['loss']:+.1f})" if r in row else "–" for r in recipes]
        rows.append([network, row["images"], f"{row['float']:.1f}", *cells])
    return table(["network", "test images", "float", *recipes], rows)


def qat(figures: dict[str, Any]) -> str:
    """Top-1 of ResNet-20 in integers before and after training, and what the training took."""
    rows = [
        [
            "resnet20",
            name,
            f"{figures['float']:.1f}",
            f"{r['ptq']:.1f}",
            f"{r['qat']:.1f}",
            r["epochs"],
            f"{r['wall_s']:.0f}",
        ]
        for name, r in figures["rows"].items()
    ]
    return table(
        ["network", "bits", "float", "after training (PTQ)", "during training (QAT)", "epochs", "seconds"], rows
    )


def scratch(figures: dict[str, Any]) -> str:
    """Top-1 of the network that was trained here from nothing: float, and its integers after and during training."""
    rows = [
        [figures["network"], name, figures["images"], f"{figures['float']:.2f}", f"{r['ptq']:.2f}", f"{r['qat']:.2f}"]
        for name, r in figures["rows"].items()
    ]
    return table(["network", "bits", "test images", "float", "PTQ", "QAT"], rows)


def agreement(figures: dict[str, Any]) -> str:
    """Elements compared and equal, runner by runner."""
    rows = [
        [network, row["samples"], runner, r["values"], f"{r['elements']:,}", "all equal" if r["equal"] else "DIFFER"]
        for network, row in figures.items()
        for runner, r in row["runners"].items()
    ]
    return table(["network", "inputs", "runner", "values", "integers compared", "result"], rows)


def lowering(figures: dict[str, Any]) -> str:
    """Seconds and peak memory from module to integer network."""
    rows = [
        [name, r["images"], *(f"{r[step]:.1f}" for step in ("trace_s", "calibrate_s", "quantize_s")), r["peak_mib"]]
        for name, r in figures.items()
    ]
    return table(["network", "calibration images", "trace s", "calibrate s", "quantize s", "peak MiB"], rows)


def speed(figures: dict[str, dict[str, Any]]) -> str:
    """One line a measurement, each against its named peer; figures: results file -> figures."""
    engine, c, dump, startup = (figures[name] for name in ("engine", "generated_c", "dump", "startup"))
    rows = []
    for network in ("resnet20", "resnet18"):
        for threads in (1, 2):
            row = engine[network][f"threads_{threads}"]
            peers = ("eager", "eager_folded", "eager_folded_channels_last")
            rows.append(
                [
                    f"engine, {network}, {threads} thread{'s' * (threads > 1)}",
                    f"{row['engine_us'] / 1000:.2f} ms an image",
                    "float32 PyTorch, eager / batch norm folded / channels last",
                    " / ".join(f"{row['ratio'][peer]:.1f}×" for peer in peers),
                ]
            )
    lib = c["resnet20"]
    rows.append(
        [
            "generated C, resnet20, 1 thread",
            f"{lib['c_us'] / 1000:.2f} ms an image",
            "engine, 1 thread",
            f"1/{lib['times_the_engine']}",
        ]
    )
    rows.append(["generated C, digits_cnn", f"compiles in {c['digits_cnn']['compile_s']:.1f} s", "", ""])
    rows.append(["interpreter, resnet20", f"{engine['interpreter_s_per_image']:.2f} s an image", "", ""])
    for place in ("disk", "memory"):
        row = dump["resnet20"][place]
        plain = row["plain_write_mb_per_s"]
        rows.append(
            [
                f"dump of every value to {place}",
                f"{row['mb_per_s']} MB/s",
                f"one plain file, {plain} MB/s",
                f"{row['mb_per_s'] / plain:.1f}×",
            ]
        )
    rows.append(["`import arithmos`", f"{1000 * startup['import_s']:.0f} ms", "", ""])
    rows.append(["`arithmos --help`", f"{1000 * startup['help_s']:.0f} ms", "", ""])
    return table(["what", "figure", "peer", "ratio"], rows)


def zk(figures: dict[str, Any]) -> str:
    """Constraints, processor seconds and megabytes of every circuit; one that was not proved has the prediction."""
    rows = []
    for name, r in figures.items():
        size = [
            name,
            f"{r['constraints']:,}",
            f"{r['nonzeros']:,}",
            f"{r['of_the_note']:.2f}" if "of_the_note" in r else "–",
        ]
        written = f"{r['plan_s'] + r['write_s'] + r['witness_s']:.1f}"
        if "prove_cpu_s" in r:
            peak = max(r["setup_peak_mb"], r["prove_peak_mb"])
            cost = [
                f"{r['setup_cpu_s']:.1f}",
                f"{r['prove_cpu_s']:.1f}",
                f"{1000 * r['verify_cpu_s']:.0f}",
                f"{peak:,.0f}",
            ]
            rows.append([*size, written, *cost, f"{r['key_bytes'] / 1e6:.0f}"])
        else:
            said = r["predicted"]
            cost = [f"({said['setup_cpu_s']})", f"({said['prove_cpu_s']})", "–", f"({1000 * said['memory_gb']:,.0f})"]
            rows.append([*size, written, *cost, "–"])
    header = [
        "network",
        "constraints",
        "non-zeros",
        "ratio",
        "circuit and witness s",
        "setup s",
        "prove s",
        "verify ms",
    ]
    return table([*header, "memory MB", "key MB"], rows)


def ezkl(figures: dict[str, Any]) -> str:
    """The same integers by two provers."""
    rows = []
    for name, row in figures.items():
        for prover, title in (("groth16", "zk, groth16py"), ("ezkl", "ezkl")):
            r = row[prover]
            sizes = [f"{r['key_bytes'] / 1e6:,.0f}", f"{r.get('proof_bytes', 256):,}"]
            peak = max(r["setup_peak_mb"], r["prove_peak_mb"])
            rows.append([name, title, f"{r['setup_cpu_s']:.1f}", f"{r['prove_cpu_s']:.1f}", f"{peak:,.0f}", *sizes])
    header = ["network", "target, prover", "setup s", "prove s", "memory MB", "key MB", "proof bytes"]
    return table(header, rows)


def zk_model() -> str:
    """The linear model of a proof's cost."""
    rows = [
        ["setup", "seconds", f"{SETUP_S[0]:g}", f"{1e6 * SETUP_S[1]:g} µs", f"{1e6 * SETUP_S[2]:g} µs"],
        ["prove", "seconds", f"{PROVE_S[0]:g}", f"{1e6 * PROVE_S[1]:g} µs", f"{1e6 * PROVE_S[2]:g} µs"],
        ["memory", "bytes", f"{MEMORY_BYTES[0] / 1e6:g} MB", f"{MEMORY_BYTES[1]:g}", f"{MEMORY_BYTES[2]:g}"],
        ["proving key", "bytes", f"{KEY_BYTES[0]:g}", f"{KEY_BYTES[1]:g}", f"{KEY_BYTES[2]:g}"],
    ]
    return table(["what", "in", "constant", "for each constraint", "for each non-zero"], rows)


def coefficients(figures: dict[str, Any]) -> str:
    """The shipped sets: what a ReLU of them takes, their proven errors beside the published ones."""
    rows = []
    for alpha, row in figures["sets"].items():
        d = row["degrees"]
        cost = [levels(d) + 1, multiplications(d) + 1]
        errors = [f"{row[key]:.2f}" for key in ("published_log2", "log2", "log2_with_constant")]
        rows.append([alpha, ", ".join(map(str, d)), *cost, *errors, f"{row['cpu_s']:.0f}"])
    header = ["alpha", "degrees", "levels", "multiplications", "published", "c = 0", "c free", "CPU s"]
    return table(header, sorted(rows, key=lambda row: int(row[0])))


def polynomials(figures: dict[str, Any]) -> str:
    """Top-1 of every recipe on real images."""
    rows = []
    for network in ("resnet20", "resnet32"):
        measured = figures.get(network, {})
        recipes = {name: r for name, r in measured.items() if isinstance(r, dict)}
        for name, r in sorted(recipes.items(), key=lambda row: -row[1].get("levels", 0)):
            if "escaped" in r:
                rows.append([network, name, "–", f"{measured['exact']:.1f}", "escapes", "–", "–", "–"])
                continue
            found = [f"{r['top1']:.1f}", f"{r['agreement']:.1f}", _rms(r), r["bounds_raised"]]
            rows.append([network, name, r["levels"], f"{measured['exact']:.1f}", *found])
    header = ["network", "polynomials", "levels", "exact top-1", "top-1", "agreement %", "outputs off, rms", "B raised"]
    return table(header, rows)


def polynomial_speed(figures: dict[str, Any]) -> str:
    """The kernel and whole forwards against their peers, in one thread."""
    k, forward = figures["kernel"], figures["forward"]
    rows = [
        [f"[15, 15, 27] on {k['elements'] / 1e6:.1f} M numbers", f"{k['kernel_ms']:.0f} ms", peer, f"{ratio:.0f}×"]
        for peer, ratio in (
            ("powers of x in float32 and float64, our version of the published evaluation", k["times_power_basis"]),
            ("the same stages in torch, in pieces", k["times_chunked_torch"]),
        )
    ]
    for name, r in forward.items():
        if isinstance(r, dict) and name != "exact":
            peer = f"exact, {forward['exact']['ms']:.0f} ms"
            ratios = f"{r['times_exact']:.2f}× the time, {r['times_exact_memory']:.2f}× the memory"
            rows.append([f"ResNet-20, {name}, {forward['images']} images", f"{r['ms']:.0f} ms", peer, ratios])
    return table(["what", "figure", "peer", "ratio"], rows)


def held_out(figures: dict[str, Any]) -> str:
    """What was chosen on held-out training images, on the test images."""
    rows = []
    for network, measured in figures.items():
        for key, title in (("fitted_13", "fitted 13"), ("fitted_15", "fitted 15"), ("composite_alpha_8", "alpha 8")):
            r = measured[key]
            test = r["test"]
            top1 = "escapes" if test["escape"] else f"{100 * test['top1']:.1f}"
            said = [f"{100 * r['test_exact_top1']:.1f}", top1, f"{100 * test['agreement']:.1f}", _rms(test)]
            rows.append([network, title, r["margin"], r["regularisation"], *said])
    header = ["network", "polynomials", "margin", "regularisation", "exact top-1", "top-1", "agreement %"]
    return table([*header, "outputs off, rms"], rows)


def allocation(figures: dict[str, Any]) -> str:
    """Allocations beside uniform choices, on the test images."""
    found = figures["resnet20"]["allocation"]
    rows = []
    for name in ("15", "7,7"):
        kinds = [("all " + name, found["uniform"][name])]
        for key, title in (("equal_levels_as_", "same levels"), ("equal_rms_as_", "same deviation")):
            if key + name in found:
                kinds.append((f"allocated, {title}", found[key + name]))
        for title, r in kinds:
            test = r["test"]
            accuracy = "escapes" if test["escape"] else f"{100 * test['top1']:.1f}"
            rows.append(
                [title, r["levels"], r["multiplications"], accuracy, f"{100 * test['agreement']:.1f}", _rms(test)]
            )
    return table(["polynomials", "levels", "multiplications", "top-1", "agreement %", "outputs off, rms"], rows)


def first_order(figures: dict[str, Any]) -> str:
    """What each statement about an error is worth: means over images of the top class's margin."""
    keys = ("a_priori", "absolute", "first_order", "actual")
    rows = [
        [alpha, *(f"{r[key]:.3g}" for key in keys), f"{r['certified']} of {r['images']}"]
        for alpha, r in sorted(figures["resnet20"]["attribution"].items(), key=lambda item: int(item[0]))
    ]
    header = ["alpha", "from certificates", "Σ \\|J\\|\\|e\\|", "first order", "actual", "top-1 certified"]
    return table(header, rows)


def polynomial_tuning(figures: dict[str, Any]) -> str:
    """Top-1 before and after training with polynomials of low degree in place."""
    rows = []
    for degree, r in sorted(figures["rows"].items(), key=lambda item: int(item[0])):
        top1 = [f"{figures['exact']:.1f}", f"{r['before']:.1f}", f"{r['after']:.1f}", f"{r['agreement']:.1f}"]
        rows.append([degree, r["levels"], *top1, r["escapes"], f"{r['wall_s']:.0f}"])
    header = ["degree", "levels each", "exact top-1", "before", "after", "agreement %", "images that escape", "seconds"]
    return table(header, rows)


def _rms(loss: dict[str, Any]) -> str:
    return "not finite" if loss["rms"] is None else f"{loss['rms']:.3g}"


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "accuracy": accuracy,
    "agreement": agreement,
    "lowering": lowering,
    "qat": qat,
    "scratch": scratch,
    "zk": zk,
    "ezkl": ezkl,
    "coefficients": coefficients,
    "polynomials": polynomials,
    "polynomial_tuning": polynomial_tuning,
    "allocation": allocation,
}
PARTS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "polynomial_speed": ("polynomials", polynomial_speed),
    "held_out": ("allocation", held_out),
    "first_order": ("allocation", first_order),
    "few_bits": ("few_bits", partial(few_bits_tables.of_levels, levels="narrow", table=table)),
    "few_bits_published": ("few_bits", partial(few_bits_tables.of_levels, levels="published", table=table)),
    "few_bits_integers": ("few_bits", partial(few_bits_tables.integers, table=table)),
    "few_bits_speed": ("gpfq", partial(few_bits_tables.speed, table=table)),
    "few_bits_brevitas": ("brevitas_peer", partial(few_bits_tables.brevitas, table=table)),
    "few_bits_large": ("few_bits_large", partial(few_bits_tables.large, table=table)),
    "few_bits_sweep": ("sweep", partial(few_bits_tables.sweep, table=table)),
}
"""Further tables of the same results: name -> (results, table)."""
PAGES = ("README.md", "docs/zknn-models.md", "docs/proofs.md", "docs/polynomials.md", "docs/few-bits.md")


def main() -> None:
    """Rewrite the tables of PAGES, and the pictures, from bench/results; without results, what stands there stays."""
    recorded = {path.stem: json.loads(path.read_text())["figures"] for path in RESULTS.glob("*.json")}
    bodies = {name: render(recorded[name]) for name, render in TABLES.items() if name in recorded}
    bodies |= {name: render(recorded[of]) for name, (of, render) in PARTS.items() if of in recorded}
    if recorded.keys() >= {"engine", "generated_c", "dump", "startup"}:
        bodies["speed"] = speed(recorded)
    bodies["zk_model"] = zk_model()
    for page in PAGES:
        text = (ROOT / page).read_text()
        for name, body in bodies.items():
            pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
            text = re.sub(pattern, lambda m, body=body: f"{m[1]}{body}\n{m[2]}", text, flags=re.DOTALL)
        (ROOT / page).write_text(text)
    draw(recorded)


if __name__ == "__main__":
    main()
