"""What a traced value is called, where it comes from, what becomes a constant, and every refusal at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from arithmos.errors import UnsupportedNetwork  # noqa: E402
from arithmos.front.trace import trace  # noqa: E402
from arithmos.ir.interpret import evaluate  # noqa: E402
from front.agreement import agree  # noqa: E402

HERE = Path(__file__).read_text().splitlines()


def line_of(code: str) -> str:
    """ "test_translate.py:41" of the first line that holds the code."""
    return f"{Path(__file__).name}:{next(i for i, line in enumerate(HERE, 1) if code in line)}"


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.conv(x))
        y += x  # the join
        return F.relu(self.relu(y)) * 0.1


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 2)

    def forward(self, image: Tensor) -> Tensor:
        x = self.layer[0](self.layer(image))
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def graph():
    return trace(Net().eval(), torch.zeros(1, 4, 6, 6))


def test_values_are_named_by_module_and_operation(graph) -> None:
    assert [node.output for node in graph.nodes] == [
        "layer.0.conv", "layer.0.relu", "layer.0.add", "layer.0.relu.1", "layer.0.relu.2", "layer.0.mul",
        "layer.1.conv", "layer.1.relu", "layer.1.add", "layer.1.relu.1", "layer.1.relu.2", "layer.1.mul",
        "layer.0.conv.1", "layer.0.relu.3", "layer.0.add.1", "layer.0.relu.4", "layer.0.relu.5", "layer.0.mul.1",
        "mean", "head",
    ]  # fmt: skip
    assert graph.inputs == ("image",)


def test_weights_keep_their_names_and_are_shared(graph) -> None:
    weights = {name for name in graph.constants if name.endswith(("weight", "bias"))}
    assert weights == {f"{m}.{p}" for m in ("layer.0.conv", "layer.1.conv", "head") for p in ("weight", "bias")}
    assert graph.constants["head.weight"].dtype == np.float32


def test_values_know_the_users_line(graph) -> None:
    assert str(graph.values["layer.0.add"].source) == f"layer.0 ({line_of('# the join')})"
    assert str(graph.values["layer.1.conv"].source) == f"layer.1.conv ({line_of('self.relu(self.conv(x))')})"


def test_inputs_can_be_named() -> None:
    graph = trace(Net().eval(), torch.zeros(1, 4, 6, 6), names=["pixels"])
    assert graph.inputs == ("pixels",)


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 4, batch_first=True)
        self.pool = nn.MaxPool1d(2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.rnn(x)
        y = y.sort(dim=1)[0]  # values in order
        y = y - y.mean()  # over the batch
        y = self.pool(y) + torch.rand(1)
        return y.cumprod(1)


def test_every_unsupported_operation_is_named_at_once() -> None:
    with pytest.raises(UnsupportedNetwork) as caught:
        trace(Unsupported().eval(), torch.zeros(2, 4, 4))
    assert str(caught.value) == "\n".join(
        [
            "the network has 6 operations that cannot be traced",
            f"  why  rnn ({line_of('self.rnn(x)')}): lstm: there is no float op for aten.lstm.input; "
            "write the steps out with Linear layers, sigmoid and tanh over a fixed number of steps",
            f"       {line_of('# values in order')}: sort: there is no float op for aten.sort.default; "
            "its result depends on the order or number of values: do this outside of the network",
            f"       {line_of('# over the batch')}: mean: it works along the batch axis, and every sample must be "
            "computed by itself; give every input the batch on axis 0 (batch_first=True) and work on the other axes",
            f"       pool ({line_of('self.pool(y) +')}): max_pool1d: its window has holes (dilation); "
            "pool with dilation=1, or take a strided slice before it",
            f"       {line_of('torch.rand(1)')}: rand: there is no float op for aten.rand.default; "
            "random numbers have no place in a fixed network: draw them outside and pass them as an input",
            f"       {line_of('y.cumprod(1)')}: cumprod: there is no float op for aten.cumprod.default; "
            "multiply the slices one after the other",
            "  fix  change these lines as they say; `arithmos.front.aten.ROWS` lists every operation that is supported",
        ]
    )


REFUSED = {
    "batch joined": (lambda x: torch.cat([x, x], 0), "it joins values along the batch axis"),
    "batch sliced": (lambda x: x[1:], "is neither a number nor a multiple of the batch"),
    "batch selected": (lambda x: x[0], "it works along the batch axis"),
    "batch flipped": (lambda x: x.flip(0), "it works along the batch axis"),
    "batch softmax": (lambda x: x.softmax(0), "it works along the batch axis"),
    "batch halved": (lambda x: x.view(x.size(0) // 2, 2, -1), "is neither a number nor a multiple of the batch"),
    "samples mixed": (lambda x: x @ x.T, "so it mixes samples"),
    "samples contracted": (lambda x: x.T @ x, "it works along the batch axis"),
    "place in the batch": (
        lambda x: x + torch.arange(x.size(0))[:, None],
        "it depends on a sample's place in the batch",
    ),
    "size as a number": (lambda x: x / x.size(0), "it computes with the batch size as a number"),
    "size in a list": (lambda x: F.pad(x, (0, x.size(0))), "it computes with the batch size as a number"),
    "roll by the batch": (lambda x: x.roll(x.size(0), 1), "it computes with the batch size as a number"),
    "masked selection": (lambda x: x[x > 0], "the number of its elements depends on values"),
    "cut to integers": (lambda x: x.long(), "it cuts computed numbers to integers"),
    "number read": (lambda x: x * x.amax(1).max().item(), "there is no float op for aten.item.default"),
    "topk": (lambda x: x.topk(2)[0], "its result depends on the order or number of values"),
    "dropout": (lambda x: F.dropout(x, 0.5), "it drops values at random"),
    "batch statistics": (
        lambda x: F.batch_norm(x, None, None, training=True),
        "it normalises by the statistics of the batch",
    ),
    "pool indices": (lambda x: F.max_pool1d(x[:, None], 2, return_indices=True)[1], "result 1 of it is not supported"),
    "condition": (lambda x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,)), "choose with torch.where"),
    "autocast": (lambda x: _autocast(x), "remove torch.autocast"),
    "rounded quotient": (lambda x: x // 2, "it rounds computed values (floor)"),
    "returned number": (lambda x: (x, 3), "it returns 3; return tensors only"),
    "nothing returned": (lambda x: None, "it returns no tensor"),
}


def _autocast(x: Tensor) -> Tensor:
    with torch.autocast("cpu"):
        return x @ torch.ones(4, 4)


class Of(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor):
        return self.function(x)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expressed_is_refused(name: str) -> None:
    function, why = REFUSED[name]
    with pytest.raises(UnsupportedNetwork) as caught:
        trace(Of(function).eval(), torch.zeros(4, 4))
    assert why in str(caught.value)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


def test_a_network_that_changes_itself_is_refused() -> None:
    with pytest.raises(UnsupportedNetwork, match="calls: forward changes this buffer"):
        trace(Counter().eval(), torch.zeros(2, 4))


class InPlace(nn.Module):
    """Writes that others see: through views, after a second name, into an input."""

    def forward(self, x: Tensor) -> Tensor:
        first = x * 2
        view = first[:, 1:3]
        view.mul_(3)
        second = first
        second.add_(1)
        x.relu_()
        return first + x


def test_writes_in_place_are_seen_where_torch_sees_them() -> None:
    agree(InPlace(), torch.zeros(1, 4, 5))


class Exact(nn.Module):
    """Constants in the ways they arise."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("index", torch.tensor([2, 0, 1, 3]))
        self.register_buffer("gain", torch.tensor(0.5, dtype=torch.float16))

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.triu(torch.ones(4, 4), diagonal=1).bool()
        scores = (x @ self.weight.T)[:, self.index] * self.gain
        return scores[:, None] - torch.zeros(4, 4).masked_fill(mask, -2.0)


def test_constants_made_in_forward_are_folded() -> None:
    graph = agree(Exact(), torch.zeros(1, 4))
    assert [node.op for node in graph.nodes] == ["linear", "slice", "slice", "concat", "mul", "reshape", "sub"]
    assert all(array.dtype != np.float16 for array in graph.constants.values())


def test_float32_weights_in_a_float64_run_are_exact() -> None:
    model = Net().eval()
    graph = trace(model, torch.zeros(1, 4, 6, 6))
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    got = evaluate(graph, {"image": x.numpy()}, dtype=np.float64)["head"]
    with torch.no_grad():
        assert np.abs(got - model.double()(x).numpy()).max() < 1e-14
