"""The zoo's table: read without torch, and true."""

from __future__ import annotations

import subprocess
import sys

import pytest

from arithmos.errors import UsageError
from arithmos.models.registry import build, entry, full_name, is_known, names, variant

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')


def test_listing_needs_no_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from arithmos.models.registry import entry, names\n"
        "assert all(entry(name).preparation for name in names())\n"
        "print(len(names()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(names()) > 0


def test_patterns() -> None:
    assert names("resnet1*") == ("resnet110", "resnet18", "resnet101", "resnet152")
    assert names("cifar_vgg1*_bn") == tuple(f"cifar_vgg{layers}_bn" for layers in (11, 13, 16, 19))
    assert names("digits_cnn") == ("digits_cnn",)
    assert names("nothing*") == ()


DEEP = [name for name in names() if any(layers in name for layers in ("101", "110", "152"))]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in DEEP else []) for n in names()])
def test_facts_hold_for_the_built_model(name: str) -> None:
    facts = entry(name)
    with torch.device("meta"):  # shapes without arithmetic
        model = build(name)
        macs = 0

        def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
            nonlocal macs
            macs += output[0].numel() * module.weight[0].numel()

        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
        logits = model(torch.empty(1, *facts.input_shape))
    assert not any(module.training for module in model.modules())
    assert logits.shape == (1, facts.classes)
    assert (sum(p.numel() for p in model.parameters()), macs) == (facts.parameters, facts.macs)


# Published counts: He et al. table 6 (0.27M, 0.46M, 0.66M, 0.85M, 1.7M), the model cards of torchvision, and of
# CIFAR-10 networks: kuangliu/pytorch-cifar (resnet18 11.17M), chenyaofo/pytorch-cifar-models (vgg11_bn 9.76M …).
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("vgg11", 132_863_336),
        ("vgg13", 133_047_848),
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("vgg11_bn", 132_868_840),
        ("vgg16_bn", 138_365_992),
        ("vgg19_bn", 143_678_248),
        ("googlenet", 13_004_888),
        ("inception_v3", 27_161_264),
        ("cifar_resnet18", 11_173_962),
        ("cifar_resnet50", 23_520_842),
        ("cifar_resnet101", 42_512_970),
        ("cifar_vgg11_bn", 9_756_426),
        ("cifar_vgg13_bn", 9_941_322),
        ("cifar_vgg16_bn", 15_253_578),
        ("cifar_vgg19_bn", 20_565_834),
        ("lenet5", 61_706),
        ("cifar_lenet5", 62_006),
    ],
)
def test_published_parameter_counts(name: str, parameters: int) -> None:
    assert entry(name).parameters == parameters


def test_the_preparation_has_the_models_normalisation() -> None:
    assert entry("resnet20").preparation.mean == (0.485, 0.456, 0.406)
    assert entry("resnet20").preparation.crop == 0
    assert entry("resnet18").preparation.crop == 224
    assert entry("digits_cnn").preparation.channels == 1


def test_the_preparation_for_other_data_and_sizes() -> None:
    inception = entry("inception_v3").preparation
    assert (inception.short_side, inception.crop, inception.mean) == (342, 299, (0.5,))
    assert (entry("resnet18").prepared(size=112).short_side, entry("resnet18").prepared(size=112).crop) == (128, 112)
    small = entry("resnet18").prepared("cifar10")
    assert (small.short_side, small.crop, small.mean) == (224, 224, (0.485, 0.456, 0.406))
    grey = entry("cifar_resnet18").prepared("digits")
    assert (grey.channels, grey.short_side, grey.crop) == (3, 32, 32)
    assert entry("resnet20").prepared("cifar10", 32) == entry("resnet20").preparation


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("resnet20", 40), ("resnet18", 33), ("cifar_vgg11_bn", 64), ("vgg16", 48), ("googlenet", 31)),
        *(("inception_v3", 80), ("lenet5", 40), ("cifar_lenet5", 28), ("mnist_mlp", 14), ("mnist_cnn", 32)),
        ("digits_cnn", 9),
    ],
)
def test_other_sizes_and_class_counts(name: str, size: int) -> None:
    with torch.device("meta"):
        network = build(name, size=size, classes=7)
        assert network(torch.empty(2, entry(name).input_shape[0], size, size)).shape == (2, 7)


@pytest.mark.parametrize(("name", "size"), [("vgg11", 16), ("inception_v3", 74), ("lenet5", 8), ("mnist_cnn", 3)])
def test_sizes_that_leave_nothing(name: str, size: int) -> None:
    with pytest.raises(UsageError) as caught:
        build(name, size=size)
    assert caught.value.what == f"'{name}' cannot take pictures of {size}x{size} pixels"
    assert caught.value.why.startswith("its layers make them smaller until nothing is left: ")
    assert caught.value.fix == f"choose a larger size; it was made for {entry(name).input_shape[-1]}"


@pytest.mark.parametrize(
    ("name", "dataset", "found"),
    [
        ("resnet50", "cifar10", "cifar_resnet50"),
        ("resnet50", "imagenet", "resnet50"),
        ("cifar_resnet50", "imagenet", "cifar_resnet50"),
        ("imagenet-resnet50", "cifar10", "resnet50"),
        ("ResNet-101", "cifar10", "cifar_resnet101"),
        ("resnet20", "cifar10", "resnet20"),
        ("resnet20", "imagenet", "resnet20"),
        ("VGG11-BN", "cifar10", "cifar_vgg11_bn"),
        ("lenet5", "cifar10", "cifar_lenet5"),
        ("cifar_lenet5", "mnist", "cifar_lenet5"),
        ("LeNet-5", "mnist", "lenet5"),
        ("mlp", "mnist", "mnist_mlp"),
        ("cnn", "digits", "digits_cnn"),
        ("googlenet", "cifar10", "googlenet"),
    ],
)
def test_the_form_of_an_architecture_for_a_data_set(name: str, dataset: str, found: str) -> None:
    assert variant(name, dataset) == found


def test_spellings() -> None:
    for name in ("ResNet-50", "resnet_50", "RESNET50", "imagenet-resnet50"):
        assert entry(name).name == "resnet50" and is_known(name)
    for name in ("resnet50_cifar10", "cifar10-resnet50", "CIFAR_ResNet50"):
        assert entry(name).name == "cifar_resnet50"
    assert [m for n in names() for m in (entry(n).name,) if m != n] == []
    assert is_known("mlp") and not is_known("mlp2") and not is_known("my_file.py:make_model")
    for name in names():
        assert all(variant(full_name(name), data) == name for data in ("cifar10", "imagenet", "mnist", "digits"))
    assert (full_name("resnet50"), full_name("resnet20")) == ("imagenet_resnet50", "resnet20")


def test_an_architecture_without_a_form_for_the_data_set() -> None:
    with pytest.raises(UsageError) as caught:
        variant("mlp", "imagenet")
    assert caught.value.fix.startswith("did you mean 'mnist_mlp' or 'digits_mlp'? ")


def test_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, again, other = build("digits_cnn", seed=1), build("digits_cnn", seed=1), build("digits_cnn", seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.fc.weight, again.fc.weight)
    assert not torch.equal(one.fc.weight, other.fc.weight)


def test_unknown_name() -> None:
    with pytest.raises(UsageError) as caught:
        build("resnet2O")
    assert caught.value.what == "there is no model 'resnet2O'"
    assert caught.value.why == f"the zoo has {len(names())} models: {', '.join(names())}"
    assert "'resnet20'" in caught.value.fix.partition("?")[0]
    with pytest.raises(UsageError) as caught:
        entry("zzz")
    assert caught.value.fix == "your own network is given as my_file.py:make_model or model.pt2"


def test_unknown_option() -> None:
    with pytest.raises(UsageError) as caught:
        build("resnet20", width=2, blocks=3)
    assert str(caught.value) == (
        "model 'resnet20' has no option 'width', 'blocks'\n"
        "  why  its options are classes\n"
        "  fix  leave it out, or choose one of these"
    )
