"""The door: what trace takes, what it refuses before tracing, and how it explains what torch.export cannot follow."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
from torch import Tensor, nn  # noqa: E402

from arithmos.errors import UnsupportedNetwork, UsageError  # noqa: E402
from arithmos.front.trace import trace  # noqa: E402
from arithmos.ir.interpret import evaluate  # noqa: E402

HERE = Path(__file__).read_text().splitlines()


def line_of(code: str) -> str:
    return f"{Path(__file__).name}:{next(i for i, line in enumerate(HERE, 1) if code in line)}"


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout())


@pytest.mark.parametrize(
    "example",
    [
        torch.zeros(1, 4),
        torch.zeros(5, 4),
        np.zeros((2, 4), np.float32),
        np.full((2, 4), np.nan),
        (torch.zeros(1, 4),),
        {"input": torch.zeros(2, 4)},
    ],
    ids=["one", "five", "array", "float64 of NaN", "tuple", "keywords"],
)
def test_any_example_gives_a_free_batch(example) -> None:
    graph = trace(small().eval(), example)
    assert graph.values[graph.inputs[0]].shape == (-1, 4)
    assert graph.values[graph.outputs[0]].shape == (-1, 3)


def test_the_module_and_the_example_are_left_alone() -> None:
    model, example = small().eval(), torch.randn(2, 4)
    state, before = copy.deepcopy(model.state_dict()), example.clone()
    trace(model, example)
    assert torch.equal(example, before)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_training_mode_is_refused_with_the_modules() -> None:
    model = small().eval()
    model[1].train()
    with pytest.raises(UsageError) as caught:
        trace(model, torch.zeros(1, 4))
    assert str(caught.value) == (
        "the model is in training mode (1 modules)\n"
        "  why  dropout and batch norm compute something else then: 1 (BatchNorm1d)\n"
        "  fix  call model.eval() before tracing"
    )
    with pytest.raises(UsageError, match="0 \\(Linear\\), 1 \\(BatchNorm1d\\), 2 \\(ReLU\\), 3 \\(Dropout\\)"):
        trace(small(), torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("model", "example", "text"),
    [
        (nn.Linear, torch.zeros(1, 4), "give an instance: trace(Net(), example)"),
        (lambda x: x, torch.zeros(1, 4), "it is of type function"),
        (nn.Linear(4, 4).eval(), None, "tracing needs an example"),
        (nn.Linear(4, 4).eval(), "image.png", "it holds no tensor, but str"),
        (nn.Linear(4, 4).eval(), np.array(["a"]), "example[0] holds <U1, not numbers"),
        (nn.Linear(4, 4).eval(), torch.zeros(0, 4), "example[0] has shape (0, 4): no element"),
    ],
    ids=["class", "function", "nothing", "text", "texts", "empty"],
)
def test_what_is_no_model_or_example_is_refused(model, example, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        trace(model, example)
    assert text in str(caught.value)


def test_names_must_fit_the_inputs() -> None:
    with pytest.raises(UsageError, match="2 names were given for 1 inputs"):
        trace(small().eval(), torch.zeros(1, 4), names=["a", "b"])


def test_weights_must_be_finite_and_there() -> None:
    model = small().eval()
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
        model[0].bias[:2] = float("inf")
    with pytest.raises(UsageError) as caught:
        trace(model, torch.zeros(1, 4))
    assert str(caught.value) == (
        "the weights of the network are not usable\n"
        "  why  0.weight holds 1 NaN and 0 infinite values\n"
        "       0.bias holds 0 NaN and 2 infinite values\n"
        "  fix  load finite weights before tracing"
    )
    with torch.device("meta"):
        absent = nn.Linear(4, 4).eval()
    with pytest.raises(UsageError, match="weight has no values: it is on the meta device"):
        trace(absent, torch.zeros(1, 4, device="meta"))


class Data(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift.data


def test_what_torch_export_loses_is_noticed() -> None:
    with pytest.raises(UnsupportedNetwork, match=r"has no values: forward takes \.data of a tensor, use \.detach\(\)"):
        trace(Data().eval(), torch.zeros(2, 4))


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x * 2
        return x


class Counts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n = int(x.abs().sum().item())
        return x[:, :n]


@pytest.mark.parametrize(
    ("model", "code"), [(Decides(), "if x.sum() > 0:"), (Counts(), "n = int(x.abs().sum().item())")]
)
def test_decisions_by_values_show_the_line_and_two_rewrites(model: nn.Module, code: str, capfd) -> None:
    with pytest.raises(UnsupportedNetwork) as caught:
        trace(model.eval(), torch.ones(2, 4))
    assert str(caught.value) == (
        "the network decides by values it computes\n"
        f"  at   {line_of(code)}  {code}\n"
        "  why  a graph has the same operations for every input; here a number or condition comes out of a tensor\n"
        "  fix  compute both sides and choose with torch.where(condition, a, b),\n"
        "       or make the condition a constant: an argument of the module's __init__"
    )
    assert capfd.readouterr() == ("", "")


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x[:, :3])  # one column short


def test_an_example_the_module_itself_refuses_shows_the_line_and_what_it_takes(capfd) -> None:
    with pytest.raises(UsageError) as caught:
        trace(Fails().eval(), torch.ones(2, 4))
    code = "return self.fc(x[:, :3])  # one column short"
    assert str(caught.value) == (
        "the network cannot be run on the example (2x4 of float32)\n"
        f"  at   {line_of(code)}  {code}\n"
        "  why  RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x4)\n"
        "       its first layer, fc, takes 4 features\n"
        "  fix  give an example of the shapes and types that forward takes, the batch first; or correct forward"
    )
    assert capfd.readouterr() == ("", "")


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> object:
        return iter([x])


def test_other_failures_show_the_line_and_torchs_reason(capfd) -> None:
    with pytest.raises(UnsupportedNetwork) as caught:
        trace(Untraceable().eval(), torch.ones(2, 4))
    lines = str(caught.value).splitlines()
    assert lines[0] == "torch.export cannot follow the network"
    assert lines[1].startswith("  why  RuntimeError: Found <class 'list_iterator'> in output")
    assert lines[2] == "  fix  check that model(*example) runs; keep forward to torch operations on tensors"
    assert capfd.readouterr() == ("", "")


class Loops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([row * 2 for row in x])


def test_a_fixed_batch_stays_fixed_and_is_said(caplog) -> None:
    model = Loops().eval()
    graph = trace(model, torch.ones(3, 4))
    assert graph.values["x"].shape == (3, 4)
    assert "takes a batch of 3 only" in caplog.text
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    assert np.array_equal(evaluate(graph, {"x": x})[graph.outputs[0]], x * 2)
    assert trace(model, torch.ones(1, 4)).values["x"].shape == (1, 4)


class Wrapper(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Tensor, **options: Tensor) -> Tensor:
        return self.model(*args, **options)


def test_a_wrapper_of_any_arguments_traces() -> None:
    assert trace(Wrapper(small()).eval(), torch.ones(2, 4)).values["args_0"].shape == (-1, 4)


class Flags(nn.Module):
    def forward(self, x: Tensor, double: bool, scale: float | None = None) -> Tensor:
        return x * 2 if double else x + (scale or 1)


def test_arguments_that_are_no_tensors_are_fixed() -> None:
    graph = trace(Flags().eval(), (torch.ones(2, 4), True, None))
    assert [node.op for node in graph.nodes] == ["mul"]
    assert graph.inputs == ("x",)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch warns of its own run_decompositions
@pytest.mark.parametrize("decomposed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_exported_program_needs_no_example(decomposed: bool, tmp_path) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    model = nn.Sequential(
        nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8), nn.GELU(), nn.Flatten(2), nn.Linear(6, 8), layer
    ).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.zeros(4, 3, 6),), dynamic_shapes=({0: batch},))
    if decomposed:
        program = program.run_decompositions()
    torch.export.save(program, tmp_path / "model.pt2")
    graph = trace(torch.export.load(tmp_path / "model.pt2"))
    x = torch.randn(3, 3, 6)
    with torch.no_grad():
        expected = model(x).numpy()
    assert np.abs(evaluate(graph, {graph.inputs[0]: x.numpy()})[graph.outputs[0]] - expected).max() < 1e-5


def test_a_second_dynamic_size_is_refused() -> None:
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    program = torch.export.export(nn.ReLU().eval(), (torch.zeros(4, 6),), dynamic_shapes=(sizes,))
    with pytest.raises(UnsupportedNetwork, match="export with the batch on axis 0 as the only dynamic size"):
        trace(program)


def test_without_torch_the_command_is_named() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport arithmos as ar\nar.trace"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingTool: this needs torch" in done.stderr
    assert "pip install" in done.stderr and '"arithmos[torch]"' in done.stderr
