"""zkCNN: every accumulator of LeNet and VGG-11 against a replica of its rule, and which images keep every shift."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import arithmos as ar
from arithmos.ir.border import to_integers
from arithmos.ir.graph import Graph
from arithmos.models.registry import build, entry
from arithmos.targets.zkcnn.chain import configuration_of, tensors_of
from arithmos.targets.zkcnn.comparison import TEXT_FILE, compare_files
from arithmos.targets.zkcnn.replica import infer, n_image, n_parameters, parameters_of
from arithmos.targets.zkcnn.runner import other_shifts
from arithmos.targets.zkcnn.text import image_line, numbers_of, parameter_lines
from arithmos.train.data.datasets import load
from record import data_dir, record

RECIPE = ar.Recipe(scales="power_of_two", weight_scale="tensor", activation_observer="zkcnn")
EPOCHS = 12
NETWORKS = {"cifar_lenet5": (True, 100), "cifar_vgg11": (False, 5)}
"""name -> (trained here first, or with random weights; how many images are each calibrated on themselves)."""


def trained(name: str, images: Path) -> dict[str, torch.Tensor]:
    """The weights after EPOCHS on the training images there are, seed 0."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        flags = [name, "--data-dir", str(images), "--epochs", str(EPOCHS), "-o", str(out)]
        subprocess.run([sys.executable, "-m", "arithmos", "train", *flags], check=True, capture_output=True)
        return dict(load_file(out / "last.safetensors"))


def keeping_shifts(net: Graph, images: np.ndarray) -> float:
    """The share of images for which zkCNN shifts every layer as the network does."""
    configuration = configuration_of(net)
    text = parameter_lines(configuration, tensors_of(net))
    parameters = parameters_of(configuration, numbers_of(text, n_parameters(configuration), ""))
    kept = 0
    for image in to_integers(net, images)[net.inputs[0]]:
        numbers = numbers_of(image_line(image), n_image(configuration), "")
        kept += not other_shifts(configuration, infer(configuration, numbers, parameters))
    return kept / len(images)


def figures_of(name: str, folder: Path) -> dict[str, Any]:
    """One network: export and comparison of one image; shifts over test images."""
    is_trained, n_own = NETWORKS[name]
    torch.manual_seed(0)
    model = build(name).eval()
    if is_trained:
        model.load_state_dict(trained(name, folder))
    images, labels = load("cifar10", "test", folder, limit=500, preparation=entry(name).preparation)
    graph = ar.trace(model, torch.zeros(1, 3, 32, 32))

    def own(i: int) -> Graph:
        return ar.quantize(graph, ar.calibrate(graph, [images[i : i + 1]]), RECIPE)

    net = own(0)
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        written = ar.export(net, "zkcnn", Path(scratch) / "files", golden=images[:1])
        exported = time.perf_counter() - start
        start = time.perf_counter()
        compared = compare_files(net, written)
        comparing = time.perf_counter() - start
        size = (written / TEXT_FILE).stat().st_size
    kept, right = [], []
    for i in range(n_own):
        image, mine = images[i : i + 1], own(i)
        kept.append(keeping_shifts(mine, image))
        right.append(int(np.argmax(ar.run(mine, image, target="engine"))) == int(labels[i]))
    with torch.inference_mode():
        real = model(torch.from_numpy(np.ascontiguousarray(images[:n_own]))).argmax(1).numpy()
    return {
        "layers": compared.layers,
        "accumulators_equal": compared.accumulators,
        "text_bytes": size,
        "export_and_compare_s": round(exported, 2),
        "read_and_compare_s": round(comparing, 2),
        "weights": f"{EPOCHS} epochs on the training images of cifar10" if is_trained else "random",
        "images_calibrated_on_themselves": n_own,
        "of_them_every_shift_equal": float(np.mean(kept)),
        "of_them_right": {"integer": sum(right), "float": int((real == labels[:n_own]).sum())},
        "other_images": 200,
        "of_them_every_shift_equal_with_steps_of_one_image": keeping_shifts(net, images[1:201]),
    }


def main() -> dict[str, Any]:
    """Both networks; {} where the images are missing."""
    folder = data_dir("cifar10")
    if folder is None:
        return {}
    return record("zkcnn", {name: figures_of(name, folder) for name in NETWORKS})


if __name__ == "__main__":
    print(main())
