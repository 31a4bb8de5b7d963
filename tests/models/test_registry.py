"""The zoo's table: read without torch, and true."""

from __future__ import annotations

import subprocess
import sys

import pytest

from arithmos.errors import UsageError
from arithmos.models.registry import build, entry, names

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
    assert names("digits_cnn") == ("digits_cnn",)
    assert names("nothing*") == ()


@pytest.mark.parametrize("name", names())
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


# Published counts: He et al. table 6 (0.27M, 0.46M, 0.66M, 0.85M, 1.7M) and the model cards of torchvision.
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
    ],
)
def test_published_parameter_counts(name: str, parameters: int) -> None:
    assert entry(name).parameters == parameters


def test_the_preparation_has_the_models_normalisation() -> None:
    assert entry("resnet20").preparation.mean == (0.485, 0.456, 0.406)
    assert entry("resnet20").preparation.crop == 0
    assert entry("resnet18").preparation.crop == 224
    assert entry("digits_cnn").preparation.channels == 1


@pytest.mark.parametrize(("name", "size"), [("resnet20", 40), ("resnet18", 33)])
def test_other_sizes_and_class_counts(name: str, size: int) -> None:
    with torch.inference_mode():
        assert build(name, classes=7)(torch.zeros(2, 3, size, size)).shape == (2, 7)


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
        build("resnet20", width=2, depth=3)
    assert str(caught.value) == (
        "model 'resnet20' has no option 'width', 'depth'\n"
        "  why  its options are classes\n"
        "  fix  leave it out, or choose one of these"
    )
