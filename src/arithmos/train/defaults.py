"""How each network is usually trained on each data set: the defaults of `arithmos train`, with their sources."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from arithmos.train.config import Config, Optimizer, Schedule, as_mapping


@dataclass(frozen=True, slots=True)
class Literature:
    """The usual training of the networks whose names match a shell pattern. source: whose it is, and what differs."""

    pattern: str
    dataset: str
    config: Config
    source: str


def _sgd(rate: float, decay: float, *, nesterov: bool = True) -> Optimizer:
    return Optimizer(optimizer="sgd", learning_rate=rate, weight_decay=decay, nesterov=nesterov)


_COSINE, _STEP = Schedule(schedule="cosine"), Schedule(schedule="step")
_THIRDS = Schedule(schedule="step", milestones=(1 / 3, 2 / 3))
_WARM = Schedule(schedule="cosine", warmup_epochs=5)

TABLE: tuple[Literature, ...] = (
    Literature(
        "resnet8",
        "cifar10",
        Config(epochs=200, batch_size=128, optimizer=_sgd(0.1, 1e-4), schedule=_COSINE),
        "as its larger relatives",
    ),
    *(
        Literature(
            name,
            "cifar10",
            Config(epochs=200, batch_size=128, optimizer=_sgd(0.1, 1e-4), schedule=_COSINE),
            "He et al., arXiv:1512.03385, section 4.2 (rate 0.1, batch 128, decay 1e-4; its 64,000 steps are 164 "
            "epochs, its rate falls at 1/2 and 3/4); cosine and Nesterov here",
        )
        for name in ("resnet20", "resnet32", "resnet44", "resnet56")
    ),
    Literature(
        "resnet110",
        "cifar10",
        Config(
            epochs=200,
            batch_size=128,
            optimizer=_sgd(0.1, 1e-4),
            schedule=Schedule(schedule="cosine", warmup_epochs=1),
        ),
        "He et al., arXiv:1512.03385, section 4.2, which starts this depth with a lower rate",
    ),
    Literature(
        "*vgg*",
        "cifar10",
        Config(epochs=200, batch_size=128, optimizer=_sgd(0.05, 5e-4), schedule=_WARM),
        "chengyangfu/pytorch-vgg-cifar10 (rate 0.05, decay 5e-4); cosine with a warm-up here, since plain VGG diverges",
    ),
    Literature(
        "*",
        "cifar10",
        Config(epochs=200, batch_size=128, optimizer=_sgd(0.1, 5e-4), schedule=_COSINE),
        "kuangliu/pytorch-cifar (rate 0.1, batch 128, decay 5e-4, 200 epochs, cosine)",
    ),
    Literature(
        "*vgg*",
        "imagenet",
        Config(epochs=90, batch_size=256, optimizer=_sgd(0.01, 1e-4, nesterov=False), schedule=_THIRDS),
        "torchvision references/classification: VGG with rate 0.01",
    ),
    Literature(
        "inception*",
        "imagenet",
        Config(epochs=90, batch_size=256, label_smoothing=0.1, optimizer=_sgd(0.1, 4e-5), schedule=_WARM),
        "Szegedy et al., arXiv:1512.00567 (label smoothing 0.1); SGD and cosine here in place of RMSProp",
    ),
    Literature(
        "*",
        "imagenet",
        Config(epochs=90, batch_size=256, optimizer=_sgd(0.1, 1e-4, nesterov=False), schedule=_THIRDS),
        "torchvision references/classification and He et al., arXiv:1512.03385: rate 0.1 for a batch of 256, a tenth "
        "after 30 and 60 epochs, decay 1e-4",
    ),
    Literature(
        "*",
        "mnist",
        Config(epochs=20, batch_size=128, optimizer=_sgd(0.05, 5e-4), schedule=Schedule(warmup_epochs=1)),
        "arithmos: LeCun et al. 1998 used a stochastic second-order rule; SGD reaches the same error",
    ),
    Literature(
        "*",
        "digits",
        Config(
            epochs=30,
            batch_size=64,
            label_smoothing=0.1,
            optimizer=Optimizer(optimizer="adamw", learning_rate=1e-2, weight_decay=1e-2),
            schedule=Schedule(schedule="cosine", warmup_epochs=9),
        ),
        "arithmos: AdamW with a long warm-up, after Smith, Topin, arXiv:1708.07120",
    ),
)
"""The first row that matches goes; rows for some networks stand before those for all of a data set."""

OTHERWISE = Literature("*", "*", Config(), "arithmos: the training of CIFAR networks")


def varies(name: str) -> bool:
    """Whether the usual value of this field differs between networks or data sets."""
    return len({as_mapping(row.config)[name] for row in (*TABLE, OTHERWISE)}) > 1


def literature(model: str, dataset: str) -> Literature:
    """The usual training of a network on a data set; for names nobody knows, the one of CIFAR-10 networks."""
    rows = (row for row in TABLE if row.dataset == dataset and fnmatchcase(model, row.pattern))
    return next(rows, OTHERWISE)


def shortened(config: Config, epochs: Any) -> Config:
    """The usual training for the epochs that are asked for: of fewer ones the warm-up takes the same share.

    epochs: unchecked, as the user wrote it; what is no smaller number leaves the configuration as it is.
    """
    if not isinstance(epochs, int) or not 0 < epochs < config.epochs:
        return config
    warmup = config.schedule.warmup_epochs * epochs / config.epochs
    return replace(config, epochs=epochs, schedule=replace(config.schedule, warmup_epochs=warmup))
