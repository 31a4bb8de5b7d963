"""Every architecture against its equations written out in numpy: the tensor names, and the value of a forward pass."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.models.registry import build

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
from arithmos.models.resnet import BasicBlock, Bottleneck, ResNet  # noqa: E402
from arithmos.models.vgg import Vgg  # noqa: E402

Tensors = dict[str, np.ndarray]
BASIC = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
BOTTLENECK = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
CIFAR = {"resnet8": 1, "resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9, "resnet110": 18}


def conv(x: np.ndarray, weight: np.ndarray, stride: int = 1, padding: int = 0) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def norm(x: np.ndarray, t: Tensors, name: str) -> np.ndarray:
    mean, var, gamma, beta = (
        t[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def max_pool(x: np.ndarray, size: int, stride: int, padding: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride].max((4, 5))


def digits_forward(t: Tensors, x: np.ndarray) -> np.ndarray:
    x = relu(conv(x, t["conv1.weight"], padding=1) + t["conv1.bias"][:, None, None])
    x = relu(conv(x, t["conv2.weight"], padding=1) + t["conv2.bias"][:, None, None])
    return max_pool(x, 2, 2, 0).reshape(len(x), -1) @ t["fc.weight"].T + t["fc.bias"]


def linear(x: np.ndarray, t: Tensors, name: str) -> np.ndarray:
    return x.reshape(len(x), -1) @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def biased(x: np.ndarray, t: Tensors, name: str, padding: int) -> np.ndarray:
    return conv(x, t[f"{name}.weight"], 1, padding) + t[f"{name}.bias"][:, None, None]


def mnist_cnn_forward(t: Tensors, x: np.ndarray) -> np.ndarray:
    for layer in ("conv1", "conv2"):
        x = max_pool(relu(biased(x, t, layer, 1)), 2, 2, 0)
    return linear(x, t, "fc")


def lenet_forward(t: Tensors, x: np.ndarray, border: int) -> np.ndarray:
    x = max_pool(relu(biased(x, t, "conv1", border)), 2, 2, 0)
    x = max_pool(relu(biased(x, t, "conv2", 0)), 2, 2, 0)
    return linear(relu(linear(relu(linear(x, t, "fc1")), t, "fc2")), t, "fc3")


def vgg_forward(t: Tensors, x: np.ndarray, convolutions: tuple[int, ...], batch_norm: bool, grid: int) -> np.ndarray:
    at = 0
    for count in convolutions:
        for _ in range(count):
            x = biased(x, t, f"features.{at}", 1)
            x = relu(norm(x, t, f"features.{at + 1}") if batch_norm else x)
            at += 3 if batch_norm else 2
        x, at = max_pool(x, 2, 2, 0), at + 1
    *outer, height, width = x.shape
    x = x.reshape(*outer, grid, height // grid, grid, width // grid).mean((3, 5))
    return linear(relu(linear(relu(linear(x, t, "classifier.0")), t, "classifier.3")), t, "classifier.6")


def cifar_forward(t: Tensors, x: np.ndarray, blocks: int) -> np.ndarray:
    x = relu(norm(conv(x, t["conv1.weight"], padding=1), t, "bn1"))
    for stage in (1, 2, 3):
        for i in range(blocks):
            at, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = relu(norm(conv(x, t[f"{at}.conv1.weight"], stride, 1), t, f"{at}.bn1"))
            y = norm(conv(y, t[f"{at}.conv2.weight"], 1, 1), t, f"{at}.bn2")
            zeros = np.zeros((len(x), (y.shape[1] - x.shape[1]) // 2, *y.shape[2:]))
            x = relu(y + np.concatenate([zeros, x[:, :, ::stride, ::stride], zeros], axis=1))
    return x.mean((2, 3)) @ t["linear.weight"].T + t["linear.bias"]


def imagenet_forward(
    t: Tensors, x: np.ndarray, depths: tuple[int, ...], layers: int, stem: str = "large"
) -> np.ndarray:
    if stem == "large":
        x = max_pool(relu(norm(conv(x, t["conv1.weight"], 2, 3), t, "bn1")), 3, 2, 1)
    else:
        x = relu(norm(conv(x, t["conv1.weight"], 1, 1), t, "bn1"))
    for stage, depth in enumerate(depths, start=1):
        for i in range(depth):
            at, stride, y = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1, x
            strided = 1 if layers == 2 else 2  # which convolution has the stride
            for k in range(1, layers + 1):
                weight = t[f"{at}.conv{k}.weight"]
                y = norm(conv(y, weight, stride if k == strided else 1, weight.shape[-1] // 2), t, f"{at}.bn{k}")
                y = y if k == layers else relu(y)
            if f"{at}.downsample.0.weight" in t:
                x = norm(conv(x, t[f"{at}.downsample.0.weight"], stride), t, f"{at}.downsample.1")
            x = relu(y + x)
    return x.mean((2, 3)) @ t["fc.weight"].T + t["fc.bias"]


def batch_norm_keys(name: str) -> set[str]:
    return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def imagenet_keys(depths: tuple[int, ...], layers: int) -> set[str]:
    keys = {"conv1.weight", "fc.weight", "fc.bias"} | batch_norm_keys("bn1")
    for stage, depth in enumerate(depths, start=1):
        for i in range(depth):
            for k in range(1, layers + 1):
                keys |= {f"layer{stage}.{i}.conv{k}.weight"} | batch_norm_keys(f"layer{stage}.{i}.bn{k}")
        if stage > 1 or layers == 3:
            keys |= {f"layer{stage}.0.downsample.0.weight"} | batch_norm_keys(f"layer{stage}.0.downsample.1")
    return keys


def cifar_keys(blocks: int) -> set[str]:
    keys = {"conv1.weight", "linear.weight", "linear.bias"} | batch_norm_keys("bn1")
    for at in (f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range(blocks)):
        keys |= (
            {f"{at}.conv1.weight", f"{at}.conv2.weight"} | batch_norm_keys(f"{at}.bn1") | batch_norm_keys(f"{at}.bn2")
        )
    return keys


def randomised(model: torch.nn.Module) -> tuple[torch.nn.Module, Tensors]:
    """The model with batch norms that do something, and its tensors in float64."""
    rng = np.random.default_rng(0)
    for key, tensor in model.state_dict().items():
        if key.endswith(("running_var", "running_mean")) or (tensor.ndim == 1 and not key.endswith("tracked")):
            tensor.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, tensor.shape)))
    return model, {key: tensor.double().numpy() for key, tensor in model.state_dict().items()}


def assert_agrees(model: torch.nn.Module, images: np.ndarray, expected: np.ndarray) -> None:
    with torch.inference_mode():
        found = model.double()(torch.from_numpy(images)).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_digits_cnn() -> None:
    model, tensors = randomised(build("digits_cnn"))
    images = np.random.default_rng(1).uniform(size=(3, 1, 8, 8))
    assert_agrees(model, images, digits_forward(tensors, images))
    assert list(tensors) == [f"{layer}.{part}" for layer in ("conv1", "conv2", "fc") for part in ("weight", "bias")]


@pytest.mark.parametrize("name", ["resnet20", "resnet44"])
def test_cifar_resnet(name: str) -> None:
    model, tensors = randomised(build(name))
    images = np.random.default_rng(1).standard_normal((2, 3, 17, 32))
    assert_agrees(model, images, cifar_forward(tensors, images, CIFAR[name]))


@pytest.mark.parametrize(("block", "layers"), [(BasicBlock, 2), (Bottleneck, 3)])
def test_imagenet_resnet(block: type[BasicBlock | Bottleneck], layers: int) -> None:
    depths = (2, 1, 1, 1)  # every kind of block; the depths of the zoo's models show in their tensor names
    model, tensors = randomised(ResNet(block, depths, classes=10).eval())
    images = np.random.default_rng(1).standard_normal((1, 3, 33, 40))
    assert_agrees(model, images, imagenet_forward(tensors, images, depths, layers))


@pytest.mark.parametrize(("block", "layers"), [(BasicBlock, 2), (Bottleneck, 3)])
def test_resnet_with_the_small_stem(block: type[BasicBlock | Bottleneck], layers: int) -> None:
    depths = (1, 1, 2, 1)
    model, tensors = randomised(ResNet(block, depths, classes=10, stem="small").eval())
    images = np.random.default_rng(1).standard_normal((1, 3, 9, 12))
    assert_agrees(model, images, imagenet_forward(tensors, images, depths, layers, "small"))


@pytest.mark.parametrize(("grid", "height", "width"), [(1, 32, 64), (2, 64, 128)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg(batch_norm: bool, grid: int, height: int, width: int) -> None:
    convolutions, channels = (1, 2, 1, 1, 3), (4, 6, 8, 10, 12)
    model, tensors = randomised(Vgg(convolutions, channels, batch_norm, grid, hidden=16, classes=10).eval())
    images = np.random.default_rng(1).standard_normal((2, 3, height, width))
    assert_agrees(model, images, vgg_forward(tensors, images, convolutions, batch_norm, grid))


def test_vgg11_in_the_layout_of_zkcnn() -> None:
    model = build("cifar_vgg11")
    convolutions = [m for m in model.features if isinstance(m, torch.nn.Conv2d | torch.nn.MaxPool2d)]
    layout = ["M" if isinstance(m, torch.nn.MaxPool2d) else m.out_channels for m in convolutions]
    assert layout == [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    assert [m.out_features for m in model.classifier if isinstance(m, torch.nn.Linear)] == [512, 512, 10]


@pytest.mark.parametrize(("name", "size", "border"), [("lenet5", 28, 2), ("lenet5", 32, 0), ("cifar_lenet5", 32, 0)])
def test_lenet5(name: str, size: int, border: int) -> None:
    model, tensors = randomised(build(name, size=size))
    images = np.random.default_rng(1).uniform(size=(3, 3 if name.startswith("cifar") else 1, size, size))
    assert_agrees(model, images, lenet_forward(tensors, images, border))
    assert tensors["fc1.weight"].shape == (120, 400)


@pytest.mark.parametrize("size", [28, 30])
def test_mnist_cnn(size: int) -> None:
    model, tensors = randomised(build("mnist_cnn", size=size))
    images = np.random.default_rng(1).uniform(size=(3, 1, size, size))
    assert_agrees(model, images, mnist_cnn_forward(tensors, images))


@pytest.mark.parametrize(("name", "size", "layers"), [("mnist_mlp", 28, 3), ("digits_mlp", 8, 2), ("digits_mlp", 5, 2)])
def test_mlp(name: str, size: int, layers: int) -> None:
    model, tensors = randomised(build(name, size=size))
    images = np.random.default_rng(1).uniform(size=(3, 1, size, size))
    expected = linear(images, tensors, "layers.0")
    for i in range(1, layers):
        expected = linear(relu(expected), tensors, f"layers.{2 * i}")
    assert_agrees(model, images, expected)


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_tensor_names(name: str) -> None:
    with torch.device("meta"):
        assert set(build(name).state_dict()) == cifar_keys(CIFAR[name])


@pytest.mark.parametrize("name", [*BASIC, *BOTTLENECK])
def test_imagenet_tensor_names(name: str) -> None:
    depths, layers = (BASIC[name], 2) if name in BASIC else (BOTTLENECK[name], 3)
    with torch.device("meta"):
        assert set(build(name).state_dict()) == imagenet_keys(depths, layers)
