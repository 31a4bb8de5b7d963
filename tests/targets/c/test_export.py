"""The exported files: they compile without a warning, run clean under sanitizers, and check themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from arithmos import native, settings
from arithmos.errors import UsageError
from arithmos.ir.build import Builder
from arithmos.ir.codec import digest, random_inputs
from arithmos.ir.cost import cost
from arithmos.ir.graph import Graph
from arithmos.ir.interpret import evaluate
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.targets.c.export import FLAGS, export
from factories import INTEGER
from samples import all_inputs, with_batch

pytestmark = pytest.mark.skipif(
    not native.available(), reason="no C compiler: apt-get install gcc libc6-dev (or set ARITHMOS_CC)"
)

STRICT = (*FLAGS.replace("-O3", "-O1").split(), "-Werror", "-Wconversion")
SANITIZED = ("-O0", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")


def build(folder: Path, name: str = "network", *flags: str) -> Path:
    compiler = settings.tool("cc")
    command = [str(compiler), *STRICT, *flags, "main.c", f"{name}.c", "-o", "program"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip("no sanitizer library: apt-get install libgcc-12-dev")
    assert done.returncode == 0, done.stderr
    return folder / "program"


def call(program: Path, *arguments: str, data: bytes = b"") -> tuple[int, bytes, str]:
    done = subprocess.run([str(program), *arguments], input=data, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def as_text(*arrays: np.ndarray) -> bytes:
    """The numbers as the program reads them: sample after sample, each input of a sample in turn."""
    n = arrays[0].shape[0]
    return "\n".join(" ".join(map(str, a[i].ravel().tolist())) for i in range(n) for a in arrays).encode()


@pytest.mark.parametrize("trace", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_everything_is_clean_under_sanitizers(everything: Graph, tmp_path: Path, trace: bool) -> None:
    # The corners are the inputs that would overflow a type that is too narrow.
    worst = list(all_inputs(everything, 1))[2:]
    golden = {
        name: np.concatenate([x[name] for x in worst], axis=axes[0])
        for name in everything.inputs
        if (axes := [a for a, e in enumerate(everything.values[name].shape) if e < 0])
    }
    fixed = {name: worst[0][name] for name in everything.inputs if name not in golden}
    export(everything, tmp_path, trace=trace, golden=golden | fixed)
    assert call(build(tmp_path, "network", *SANITIZED), "--self-test") == (0, b"self-test passed: 4 samples\n", "")


def test_one_changed_weight_fails_the_self_test(tmp_path: Path) -> None:
    graph = INTEGER["residual_cnn"]()
    export(graph, tmp_path, name="cnn")
    assert call(build(tmp_path, "cnn"), "--self-test") == (0, b"self-test passed: 1 sample\n", "")
    header = tmp_path / "cnn.h"
    text = header.read_text()
    weight = int(graph.constants["head.weight"][3, 0])
    at = text.index("{", text.index(" head_weight[")) + 1
    numbers = text[at : text.index("}", at)].split(",")
    assert int(numbers[3 * 16]) == weight
    numbers[3 * 16] = f" {weight + 1}"
    header.write_text(text[:at] + ",".join(numbers) + text[text.index("}", at) :])
    status, output, _ = call(build(tmp_path, "cnn"), "--self-test")
    want = evaluate(graph, random_inputs(graph, 1), every=True)
    should, flat = int(want["logits"][0, 3]), int(want["flat"][0, 0])
    assert status == 1
    assert output.decode() == (
        f"self-test failed: logits[3] of sample 0 is {should + flat}, the interpreter says {should}\n"
    )


def test_the_program_reads_text_and_bytes(tmp_path: Path) -> None:
    b = Builder("int")
    x, y = b.input("x", (-1, 2, 3), signed(8)), b.input("y", (-1, 3), Interval(-70000, 70000))
    summed = b.add("add", x, b.add("reshape", y, shape=(-1, 1, 3)), name="sum")
    graph = b.graph(summed, b.add("reduce_max", summed, axes=(1, 2), keepdims=False, name="top"), "x")
    export(graph, tmp_path)
    program = build(tmp_path)
    arrays = random_inputs(graph, 3)
    want = evaluate(graph, arrays)
    status, output, _ = call(program, data=as_text(arrays["x"], arrays["y"]))
    assert (status, output.split()) == (0, as_text(want["sum"], want["top"], want["x"]).split())
    assert len(output.splitlines()) == 3 * 3
    file = tmp_path / "samples.bin"
    file.write_bytes(b"".join(arrays["x"][i].tobytes() + arrays["y"][i].astype("<i4").tobytes() for i in range(3)))
    status, output, _ = call(program, "--binary", str(file))
    samples = [
        [want[n][i].astype(t).tobytes() for n, t in (("sum", "<i4"), ("top", "<i4"), ("x", "i1"))] for i in range(3)
    ]
    assert (status, output) == (0, b"".join(b"".join(sample) for sample in samples))


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        ((), b"1 2 3", "x[3] of sample 0 is missing: the input ends there"),
        ((), b"1 2 3 4 5", "x[1] of sample 1 is missing: the input ends there"),
        ((), b"1 2 256 4", "x[2] of sample 0 is 256, the network takes 0 to 255"),
        ((), b"1 -1 2 3", "x[1] of sample 0 is -1, the network takes 0 to 255"),
        ((), b"1 2.5 2 3", "x[1] of sample 0 is not an integer"),
        ((), b"1 99999999999999999999 2 3", "x[1] of sample 0 is not an integer"),
        (("--binary",), b"\x01\x02\x03", "x[3] of sample 0 is missing: the input ends there"),
        (("no such file",), b"", "no such file cannot be opened"),
        (("--fast",), b"", "usage: {program} [--binary] [--self-test] [FILE]"),
    ],
)
def test_bad_input_is_refused(small: Path, arguments: tuple[str, ...], data: bytes, message: str) -> None:
    status, _, errors = call(small, *arguments, data=data)
    assert (status, errors) == (2, message.format(program=small) + "\n")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of one node."""
    folder = tmp_path_factory.mktemp("small")
    b = Builder("int")
    export(b.graph(b.add("clip", b.input("x", (-1, 4), unsigned(8)), lo=9, hi=99, name="y")), folder)
    return build(folder)


def test_a_traced_program_prints_every_value(tmp_path: Path) -> None:
    graph = INTEGER["pools"]()
    export(graph, tmp_path, trace=True)
    x = random_inputs(graph, 1)
    status, output, _ = call(build(tmp_path), "--trace", data=as_text(x["x"]))
    lines = output.decode().splitlines()
    want = evaluate(graph, x, every=True)
    assert status == 0 and len(lines) == len(want) + 2
    for line, (name, array) in zip(lines, want.items(), strict=False):
        assert line == f"{name}: {' '.join(map(str, array.ravel().tolist()))}"


def test_golden_inputs_of_the_user_are_embedded(tmp_path: Path) -> None:
    graph = INTEGER["folded_batch"]()
    x = random_inputs(graph, 3, seed=5)
    export(graph, tmp_path, golden=x)
    text = (tmp_path / "golden.h").read_text()
    assert "#define NETWORK_GOLDEN_SAMPLES 3\n" in text
    start = text.index("{", text.index("network_golden_in0")) + 1
    numbers = [int(n) for n in text[start : text.index("}", start)].split(",") if n.strip()]
    assert numbers == x["x"].ravel().tolist()
    assert call(build(tmp_path), "--self-test") == (0, b"self-test passed: 3 samples\n", "")


def test_hostile_names_become_legal_and_different(tmp_path: Path) -> None:
    b = Builder("int")
    names = [
        "int",
        "acc",
        "compute_acc",
        "a.b",
        "a_b",
        "0",
        "_x",
        "é",
        "*/ int x; /*",
        'q"uote\\',
        "??/",
        "k",
        "K",
        "y0",
    ]
    names += ["layer." * 30 + "one", "layer." * 30 + "two", "network_run", "observe", "sum", "main", "int8_t", "ports"]
    values = [b.input(name, (-1, 3), signed(8)) for name in names]
    for name in ("exp", "index", "printf", "x y"):
        values.append(b.add("add", values[-1], b.constant(name, np.arange(3)), name=f"{name}\n"))
    total = values[0]
    for value in values[1:]:
        total = b.add("add", total, value, name=f"sum.{len(value)}")
    graph = b.graph(total, values[3])
    for trace in (False, True):
        folder = tmp_path / str(trace)
        folder.mkdir()
        export(graph, folder, trace=trace)
        assert call(build(folder), "--self-test")[0] == 0


def test_the_header_says_what_the_network_is(tmp_path: Path) -> None:
    graph = INTEGER["residual_cnn"]()
    export(graph, tmp_path, name="cnn")
    text = (tmp_path / "cnn.h").read_text()
    assert text[: text.index("#ifdef CNN_WEIGHTS")] == (
        "/*\n"
        " * cnn: an exact integer network, one sample a call. Made by arithmos from the network\n"
        f" * {digest(graph)}\n"
        " *\n"
        " * input image: (N, 3, 12, 12) uint8_t in [0, 255], scale 2^-8\n"
        " * output logits: (N, 10) int32_t in [-79280, 58307]\n"
        " *\n"
        " * A real number is an integer times its scale. Arrays are in C order of the shapes; N is 1 here. Inputs\n"
        " * must lie in their range: every type below was chosen because no sum, product or shift can leave it then.\n"
        " * Rounding: floor((x * mul + 2^(shift-1)) / 2^shift), then clipped.\n"
        f" * 22 nodes, 321,568 multiply-accumulates, {cost(graph).parameters:,} parameters,\n"
        " * 6,292 bytes of constants, 3,456 bytes of static memory, 896 bytes of stack.\n"
        " * Not reentrant: all calls of cnn_run share the static memory. No malloc, no floating point, no libraries.\n"
        " */\n"
        "#ifndef CNN_H\n"
        "#define CNN_H\n"
        "\n"
        "#include <stdint.h>\n"
        "\n"
        "#define CNN_IMAGE_SIZE 432\n"
        "#define CNN_LOGITS_SIZE 10\n"
        "#define CNN_STATIC_BYTES 3456\n"
        "#define CNN_STACK_BYTES 896\n"
        "\n"
        "void cnn_run(const uint8_t image[432], int32_t logits[10]);\n"
        "\n"
    )


def test_make_builds_and_tests(tmp_path: Path) -> None:
    if not native.available() or subprocess.run(["make", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("no make: apt-get install make")
    export(INTEGER["gelu_table"](), tmp_path, name="gelu")
    compiler = settings.tool("cc")
    done = subprocess.run(["make", f"CC={compiler}", "test"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "self-test passed: 1 sample\n" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["", "2nd", "a-b", "int", "main", "golden", "x" * 25])
def test_a_name_c_cannot_have_is_refused(name: str, tmp_path: Path) -> None:
    graph = INTEGER["gelu_table"]()
    with pytest.raises(UsageError) as caught:
        export(graph, tmp_path, name=name)
    assert str(caught.value) == (
        f"'{name}' cannot name a C network\n"
        "  why  it becomes the prefix of C identifiers and the name of files\n"
        "  fix  give a word of letters, digits and '_' that starts with a letter, at most 24 characters"
    )


def test_golden_inputs_outside_the_range_are_refused(tmp_path: Path) -> None:
    graph = INTEGER["gelu_table"]()
    with pytest.raises(UsageError, match="the network cannot take these inputs"):
        export(graph, tmp_path, golden={"x": np.full(with_batch((-1, 7), 1), 1 << 20)})
    assert list(tmp_path.iterdir()) == []
