"""sweep: from a grid to one table, what it skips and resumes, its plan, and what it refuses before it starts."""

from __future__ import annotations

import csv
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
pytest.importorskip("sklearn", reason='pip install "arithmos[data]"')
pytest.importorskip("joblib", reason='pip install "arithmos[sweep]"')

from safetensors.torch import save_file  # noqa: E402

from arithmos.cli import sweep_plan  # noqa: E402
from arithmos.cli.sweep_plan import duration, plan_text  # noqa: E402
from arithmos.lower import analog  # noqa: E402
from arithmos.lower.recipe import read_recipe  # noqa: E402
from arithmos.models.registry import build  # noqa: E402
from arithmos.sweep.columns import NAMES, TIMES  # noqa: E402
from arithmos.sweep.lock import locked  # noqa: E402
from cli.refusals import refused  # noqa: E402

FEW = ("--n-calibration", "32", "--evaluate", "60")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_file(build("digits_cnn", seed=3).state_dict(), tmp_path / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def swept(arithmos: Any, *arguments: Any, code: int = 0) -> str:
    result = arithmos("sweep", "w.safetensors", "--model", "digits_cnn", *FEW, *arguments)
    assert result.exit_code == code, result.stderr
    return str(result.stdout)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_two_by_two_runs_end_in_a_table_a_page_and_a_recipe(arithmos: Any, here: Path) -> None:
    grid = ("--grid", "bits=3,6", "method=nearest,gpfq", "-o", "out", "--workers", "2")
    rule = "max accuracy where bits<=3 and method==gpfq"
    said = swept(arithmos, *grid, "--select", rule).splitlines()
    assert said[0].startswith("4 of 4 runs done, in ") and said[1].startswith(f"{rule}: bits=3 rounding=gpfq: ")
    found = rows(here / "out")
    assert tuple(found[0]) == tuple(name for name in NAMES if name not in TIMES)
    assert [(row["Bits"], row["Method"]) for row in found] == [
        ("3", "nearest"), ("3", "gpfq"), ("6", "nearest"), ("6", "gpfq")
    ]  # fmt: skip
    assert {row["Status"] for row in found} == {"done"} and {row["Integer Top1 Accuracy"] for row in found} == {""}
    assert all(0 < float(row["Quantized Top1 Accuracy"]) <= 1 for row in found)
    best = read_recipe(here / "out" / "best.toml")
    assert best.weight_bits == 3 and best.chosen("conv1") == {"weight_bits": 3}
    command = (here / "out" / "best.toml").read_text().splitlines()[1].removeprefix("# arithmos ")
    repeated = arithmos(*shlex.split(command.replace("FOLDER", "best")), "--json")
    assert repeated.exit_code == 0, repeated.stderr
    seen = {layer["name"]: layer["relative_error"] for layer in json.loads(repeated.stdout)["fit"]["layers"]}
    assert {name: f"{error:.6f}" for name, error in seen.items()} == dict(
        pair.split("=") for pair in found[1]["Layer Errors"].split(";")
    )
    assert {"index.html", "figures", "results.parquet", "sweep.toml"} <= {p.name for p in (here / "out").iterdir()}

    page = (here / "out" / "index.html").stat().st_mtime_ns
    swept(arithmos, *grid, "--select", rule)
    assert (here / "out" / "index.html").stat().st_mtime_ns == page  # it would be the same
    before = (here / "out" / "runs.jsonl").read_bytes()
    again = swept(arithmos, *grid).splitlines()
    assert again[0] == "4 of 4 runs were done already and are not made again"
    assert (here / "out" / "runs.jsonl").read_bytes() == before and rows(here / "out") == found
    assert (here / "out" / "index.html").stat().st_mtime_ns != page  # another rule

    grown = json.loads(swept(arithmos, "--grid", "bits=3,6,8", "method=nearest,gpfq", "-o", "out", "--json"))
    assert (grown["runs"], grown["skipped"], grown["done"], grown["failed"]) == (6, 4, 6, [])
    assert rows(here / "out")[:4] == found
    from_file = arithmos("sweep", "out/sweep.toml", "-o", "out")
    assert from_file.stdout.startswith("6 of 6 runs were done already")


@pytest.mark.slow
def test_activation_bits_make_integer_networks_too(arithmos: Any, here: Path) -> None:
    (here / "sweep.toml").write_text(
        '[grid]\nactivation_bits = [4, 8]\nnetwork = "b"\n[recipe]\nweight_bits = 4\n'
        + "".join(
            f'[[network]]\nname = "{name}"\nmodel = "digits_cnn"\nweights = "w.safetensors"\n'
            "n_calibration = 16\nmax_images = 20\n"
            for name in "ab"
        )
    )
    result = arithmos("sweep", "sweep.toml", "-o", "out")
    assert result.exit_code == 0, result.stderr
    found = rows(here / "out")
    assert [(row["Model Name"], row["Activation Bits"]) for row in found] == [("b", "4"), ("b", "8")]
    assert all(0 <= float(row["Integer Top1 Accuracy"]) <= 1 for row in found)


@pytest.mark.slow
def test_another_grid_needs_force(arithmos: Any, here: Path) -> None:
    swept(arithmos, "--grid", "bits=4,5", "-o", "out")
    refused(
        arithmos, here, 2, f"sweep w.safetensors --model digits_cnn {' '.join(FEW)} -o out --grid bits=5,6",
        "this folder holds another sweep: 1 of its runs is not of this grid", "grid bits: 4, 5 there, 5, 6 here",
    )  # fmt: skip
    refused(
        arithmos, here, 2, f"sweep w.safetensors --model digits_cnn {' '.join(FEW)} -o out --grid bits=5,6 --dry-run",
        "this folder holds another sweep: 1 of its runs is not of this grid", "grid bits: 4, 5 there, 5, 6 here",
    )  # fmt: skip
    grown = json.loads(swept(arithmos, "--grid", "bits=4-6", "-o", "out", "--dry-run", "--json"))
    assert (grown["runs"], grown["done"]) == (3, 2)
    assert json.loads(swept(arithmos, "--grid", "bits=5,6", "-o", "out", "--dry-run", "--json", "--force"))["done"] == 1
    said = swept(arithmos, "--grid", "bits=5,6", "-o", "out", "--force")
    assert said.startswith("1 of 2 runs were done already")
    assert [row["Bits"] for row in rows(here / "out")] == ["5", "6"]
    assert '"Bits": 4' in (here / "out" / "other_runs.jsonl").read_text()
    said = swept(arithmos, "--grid", "bits=5,6", "-o", "out", "--select", "max accuracy where bits>6", code=1)
    assert said.splitlines()[:2] == [
        "2 of 2 runs were done already and are not made again",
        "no run fits the rule: none of the 2 finished runs meets its conditions",
    ]
    assert not (here / "out" / "best.toml").exists()


def test_the_plan_needs_neither_weights_nor_images(arithmos: Any, here: Path) -> None:
    grid = ("--grid", "bits=1-8", "scalar=1.0:2.0:0.05", "network=digits_cnn", "--method", "gpfq")
    result = arithmos("sweep", "--model", "digits_cnn", *grid, "--workers", "3", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    plan = json.loads(result.stdout)
    assert (plan["runs"], plan["done"], plan["integers"]) == (168, 0, False)
    assert plan["grid"]["bits"] == list("12345678") and len(plan["grid"]["scalar"]) == 21
    assert plan["seconds"] > 0 and plan["disk_mb"] > 0
    assert [p.name for p in here.iterdir()] == ["w.safetensors"]
    assert plan["points"] == 168
    shown = plan_text({**plan, "grid": {"seed": [str(n) for n in range(100)]}}).splitlines()[1]
    assert shown.endswith(" 20, 21, 22, …, 99")
    first, *_, runs, time_and_disk = plan_text({**plan, "seconds": 700.0, "disk_mb": 396.6}).splitlines()
    assert first.split() == ["key", "values"]
    assert runs == "168 runs, of digits_cnn, by 3 processes on this machine"
    assert time_and_disk == "about 12 min (from one forward pass), 397 MB of shared data on the disk"


def planned(arithmos: Any, *arguments: str) -> dict[str, Any]:
    result = arithmos("sweep", "--model", "digits_cnn", *arguments, "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_flags_of_the_recipe_take_lists_and_ranges(arithmos: Any, here: Path) -> None:
    flags = (
        "--scalar",
        "1.0..2.0:0.05",
        "-b",
        "1-4",
        "--method",
        "gpfq,spfq",
        "--levels",
        "published",
    )
    plan = planned(arithmos, *flags)
    assert (plan["runs"], list(plan["grid"])) == (168, ["scalar", "bits", "rounding"])
    assert plan["grid"]["scalar"][::10] == ["1.0", "1.5", "2.0"] and plan["grid"]["rounding"] == ["gpfq", "spfq"]
    (here / "sweep.toml").write_text('[grid]\nmethod = ["gpfq", "gptq"]\nbits = [2, 3]\n')
    assert planned(arithmos, "sweep.toml", "--method", "spfq")["grid"] == {"rounding": ["spfq"], "bits": ["2", "3"]}


def test_points_that_mean_the_same_are_one_run(arithmos: Any, here: Path) -> None:
    grid = ("--grid", "regularizer=none,L1,L0", "lambda=0.05,0.1,0.2", "--method", "gpfq")
    plan = planned(arithmos, *grid)
    assert (plan["points"], plan["runs"], plan["notes"]) == (9, 7, [])
    assert "7 runs (9 points, some of which mean the same), of digits_cnn" in plan_text(plan)


def test_the_plan_says_where_memory_allows_fewer_images(
    arithmos: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (analog, sweep_plan):
        monkeypatch.setattr(module, "SAMPLE_BYTES", 1)
    plan = planned(arithmos, "--grid", "bits=3", "--method", "gpfq", "--n-calibration", "40")
    assert plan["notes"] == ["digits_cnn: layers are solved on 16 of 40 images, 0.0 GB a process"]
    assert plan_text(plan).splitlines()[-1] == plan["notes"][0]
    assert planned(arithmos, "--grid", "bits=3", "--n-calibration", "40")["notes"] == []


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "0 s"), (89, "89 s"), (150, "2 min"), (5400, "1.5 h")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--grid bit=3", "there is no 'bit', did you mean 'bits'?"),
        ("--grid bits=0,4,9 scalar=-1", "why  bits must be an integer from 1 to 8, got 0\n       bits must be an"),
        ("", "no key is given: a grid of zero runs"),
        ("--grid bits=8-1", "bits: the range 8-1 goes down: write it from 1 to 8"),
        ("--grid bits=", "bits has no value: a grid of zero runs"),
        ("--grid lambda=0.1", "lamb changes nothing in any run: it is read where there is a regularizer"),
        ("--grid seed=0-3", "seed changes nothing in any run: it is read where something is drawn"),
        (
            "--grid bits=3 --method gpfq --percentile 0.9",
            "percentile changes nothing in any run: it is read where there",
        ),
        ("--grid bits=3 n_calibration=0", "n_calibration must be an integer from 1"),
        ("--grid bits=3 -b 4", "bits is given twice"),
        ("--grid bits=3 method=gpfq,gptq --method spfq", "rounding is given twice"),
        (
            "--scalar 1..2:0 --method x,gpfq",
            "these flags cannot be followed\n  why  scalar: the range 1..2:0 has a step of 0",
        ),
        ("--grid bits=3 --set overrides=3", "why  overrides must be tables named by globs, got 3"),
        ("--grid bits=3 --set rounding=3 --stochastic", "why  rounding must be one of nearest,"),
        ("--grid bits=3 --select ''", "it starts with max or min and a column"),
        ("--grid bits=3 regularizer=L1", "regularizer L1 needs rounding gpfq or gpfq+descent, got nearest (first at"),
        ("--grid stochastic=true", "stochastic true goes with rounding gpfq or spfq, not nearest"),
        ("--grid bits=3 --select best", "it starts with max or min and a column"),
        ("--grid bits=3 --select 'max acuracy'", "there is no 'acuracy', did you mean 'accuracy'?"),
        ("--grid bits=3 --executor jobli", "there is no executor 'jobli'"),
        ("--grid bits=3 --executor dask://localhost:1", "the cluster cannot be reached"),
        ("--grid bits=3 network=a", "the grid names networks that are not defined: a"),
        ("--grid bits=3 w.safetensors", "w.safetensors, w.safetensors are too many"),
        ("--grid bits=3 none.toml", "there is no none.toml"),
        ("--grid bits=3 --set weight_bit=3", "there is no 'weight_bit', did you mean 'weight_bits'?"),
        ("--grid bits=3 --n-calibration 100000", "there are too few images to calibrate 'digits_cnn' on"),
        ("--grid bits=3 n_calibration=16,100000", "there are too few images to calibrate 'digits_cnn' on"),
        ("--grid bits=3 --evaluate 0", "there are no labelled images for 'digits_cnn'"),
    ],
)
def test_what_is_refused_before_anything_starts(arithmos: Any, here: Path, arguments: str, said: str) -> None:
    words = shlex.split(f"sweep w.safetensors --model digits_cnn {arguments} -o out")
    result = arithmos(*words)
    assert result.exit_code == 2 and said in result.stderr and result.stdout == "", result.stderr
    assert not (here / "out").exists()


def test_networks_are_named_once(arithmos: Any, here: Path) -> None:
    (here / "sweep.toml").write_text('[grid]\nbits = 3\n[[network]]\nmodel = "digits_cnn"\n')
    refused(arithmos, here, 2, "sweep sweep.toml w.safetensors -o out", "networks are named twice")
    refused(arithmos, here, 2, "sweep --grid bits=3 -o out", "no network is named")
    refused(
        arithmos, here, 2, "sweep x.safetensors --model digits_cnn --grid bits=3 -o out", "there is no x.safetensors"
    )
    refused(arithmos, here, 2, "sweep w.safetensors --model digits_cnn --grid bits=3", "no folder is named")


def test_a_folder_of_something_else_is_left(arithmos: Any, here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "notes.txt").write_text("mine")
    refused(
        arithmos, here, 2, "sweep w.safetensors --model digits_cnn --grid bits=3 -o out",
        "out is not the folder of a sweep\n",
    )  # fmt: skip


@pytest.mark.slow
def test_two_sweeps_on_one_folder(arithmos: Any, here: Path) -> None:
    swept(arithmos, "--grid", "bits=4", "-o", "out")
    with locked(here / "out"):
        refused(
            arithmos, here, 2, f"sweep w.safetensors --model digits_cnn {' '.join(FEW)} --grid bits=4 -o out",
            "a sweep is running in this folder", "writes into it", "wait until it has ended, or name another folder",
        )  # fmt: skip


def begun(out: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "arithmos", "sweep", "w.safetensors", "--model", "digits_cnn", *FEW]
    command += ["--grid", "bits=1-8", "method=nearest,gpfq", "-o", out, "--workers", "2", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def after_rows(process: subprocess.Popen[str], out: Path, n: int) -> None:
    """Wait until so many runs have ended."""
    file = out / "runs.jsonl"
    while process.poll() is None and not (file.exists() and file.read_bytes().count(b"\n") >= n):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and what was said on stderr."""
    said = process.communicate(timeout=300)[1]
    return process.returncode, said


@pytest.mark.slow
def test_ended_in_whatever_way_it_goes_on_to_the_same_table(here: Path) -> None:
    assert ended(begun("whole"))[0] == 0
    for n, (number, code) in enumerate([(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]):
        process = begun("out")
        after_rows(process, here / "out", 2 * n + 1)
        process.send_signal(number)
        found, said = ended(process)
        assert found == code
        if number != signal.SIGKILL:
            done = (here / "out" / "runs.jsonl").read_bytes().count(b"\n")
            kept = f"interrupted after {done} of 16 runs; out is kept: the same command goes on from there\n"
            assert said.lstrip() == kept and len(rows(here / "out")) == done
    with (here / "out" / "runs.jsonl").open("ab") as stream:
        stream.write(b'{"Model Name": "dig')  # what a kill in the middle of a write leaves
    assert ended(begun("out"))[0] == 0
    assert rows(here / "out") == rows(here / "whole") and len(rows(here / "whole")) == 16
    assert (here / "out" / "runs.jsonl").read_bytes().count(b"\n") == 16  # nothing was done twice
    assert not list((here / "out").glob(".arithmos-*")) and not list((here / "out" / "shared").glob(".arithmos-*"))
