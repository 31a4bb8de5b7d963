"""The losses against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.train.config import Config  # noqa: E402
from arithmos.train.loss import cross_entropy, mixed  # noqa: E402

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
LABELS = torch.tensor([0, 1])


def test_smoothing_gives_every_class_its_share() -> None:
    loss = cross_entropy(Config(label_smoothing=0.3))(torch.nn.Identity(), LOGITS, LABELS)
    target = 0.7 * torch.nn.functional.one_hot(LABELS, 3) + 0.1
    want = -(target * LOGITS.log_softmax(1)).sum(1).mean()
    assert float(loss) == pytest.approx(float(want))


def test_auxiliary_heads_count_with_their_weight() -> None:
    class Heads(torch.nn.Module):
        auxiliary_weight = 0.3

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return x, x * 2, x * 3

    plain = cross_entropy(Config())
    want = sum(w * float(plain(torch.nn.Identity(), LOGITS * k, LABELS)) for w, k in ((1, 1), (0.3, 2), (0.3, 3)))
    assert float(plain(Heads(), LOGITS, LABELS)) == pytest.approx(want)


def test_mixup_mixes_images_and_labels_alike() -> None:
    images = torch.arange(4.0).reshape(4, 1, 1, 1)
    share = float(np.random.default_rng(7).beta(0.4, 0.4))
    x, targets = mixed(images, torch.tensor([0, 1, 2, 2]), 0.4, 3, np.random.default_rng(7))
    assert torch.allclose(x.flatten(), share * images.flatten() + (1 - share) * images.flatten().flip(0))
    assert torch.allclose(targets[0], torch.tensor([share, 0, 1 - share]))
    assert torch.allclose(targets.sum(1), torch.ones(4))
