from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='pip install "arithmos[torch]"')

from arithmos.errors import UsageError  # noqa: E402
from arithmos.train.distill import distillation  # noqa: E402


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def test_the_loss_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    student, teacher = (torch.from_numpy(rng.normal(size=(5, 4))) for _ in range(2))
    labels = torch.tensor([0, 3, 1, 1, 2])
    got = distillation(lambda _: teacher, temperature=3, share=0.7)(lambda _: student, torch.zeros(5), labels)  # type: ignore[arg-type, return-value]
    p, q, hard = softmax(teacher.numpy() / 3), softmax(student.numpy() / 3), softmax(student.numpy())
    divergence = (p * (np.log(p) - np.log(q))).sum(1).mean()
    cross = -np.log(hard[range(5), labels.numpy()]).mean()
    assert float(got) == pytest.approx(float(0.7 * 9 * divergence + 0.3 * cross))


def test_the_teacher_learns_nothing() -> None:
    teacher, student = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    distillation(teacher)(student, torch.ones(4, 3), torch.tensor([0, 1, 0, 1])).backward()
    assert teacher.weight.grad is None and student.weight.grad.abs().max() > 0


@pytest.mark.parametrize(("temperature", "share"), [(0.0, 0.5), (4.0, 1.5), (float("nan"), 0.5)])
def test_what_is_no_temperature_or_share_is_refused(temperature: float, share: float) -> None:
    with pytest.raises(UsageError) as refused:
        distillation(torch.nn.Linear(1, 1), temperature=temperature, share=share)
    assert str(refused.value) == (
        "this distillation cannot be done\n"
        f"  why  the temperature is {temperature:g} and the share {share:g}\n"
        "  fix  give a temperature above 0 and a share from 0 to 1"
    )
