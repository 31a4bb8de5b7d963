"""The numbers of a sweep's figures are the best of its rows, and a figure is there only where its key varies."""

from __future__ import annotations

import numpy as np
import pytest

from arithmos.report import sweep_figures as figures
from arithmos.report import sweep_plots
from arithmos.report.canvas import THEMES
from arithmos.report.plots import png
from arithmos.report.runs import averaged, percent
from report.swept import LAYERS, failure, published, regularized, row


def names(rows: list[dict[str, object]], **facts: object) -> list[str]:
    return [figure.name for figure in figures.sweep_figures(rows, facts)]


def test_figures_are_those_whose_key_varies() -> None:
    assert names([]) == names([failure()]) == []
    assert names([row()]) == ["layer_errors"]
    grid = ["accuracy_by_bits", "accuracy_by_scalar", "bits_by_scalar", "layer_errors", "accuracy_by_size", "run_time"]
    assert names(published()) == grid
    assert names(published(bits=[4])) == ["accuracy_by_scalar", "layer_errors", "run_time"]
    without = ["accuracy_by_bits", "layer_errors", "sparsity", "accuracy_by_size", "run_time"]
    assert names(regularized()) == without
    assert names([{**row(Lambda=x), "Regularizer": "none"} for x in (0.1, 0.2)]) == ["layer_errors", "run_time"]


def test_cells_as_texts_give_the_same_figures() -> None:
    rows = [*published(bits=(2, 3)), failure()]
    texts = [{key: "" if cell is None else str(cell) for key, cell in row.items()} for row in rows]
    assert figures.sweep_figures(texts, {}) == figures.sweep_figures(rows, {})


def test_accuracy_by_bits_is_the_best_of_each_width() -> None:
    rows = figures.by_bits(published(scalars=(1.0, 1.3, 1.6))).rows
    assert [r[1] for r in rows] == [1, 2, 3, 4, 5, 6, 7, 8] and {r[0] for r in rows} == {"gpfq"}
    assert all(r[3:] == (91.0, "", 1.3, 0.1, 3) for r in rows)
    assert rows[3][2] == percent(row(Bits=4, CNN_Alphabet_Scalar=1.3))


def test_the_heat_map_has_a_cell_for_each_width_and_scalar() -> None:
    figure = figures.heat_map(published())
    assert [r[1:3] for r in figure.rows] == [(b, s) for b in range(1, 9) for s in (1.0, 1.2, 1.4, 1.6)]
    assert figure.rows[5][3] == percent(row(Bits=2, CNN_Alphabet_Scalar=1.2))


def test_errors_are_those_of_the_selected_run_then_of_the_best_of_each_width() -> None:
    rows = published(bits=(2, 3))
    picked = {"selected": {"rule": "", "digests": [rows[0]["Digest"], "unknown"]}}
    found = figures.errors_of_layers(figures.chosen(rows, picked)).rows
    assert [r[1] for r in found[:: len(LAYERS)]] == ["2 bits, scalar 1", "2 bits, scalar 1.2", "3 bits, scalar 1.2"]
    assert tuple(r[0] for r in found[: len(LAYERS)]) == LAYERS and found[1][3] == 0.4
    every = [row(Bits=bits) for bits in (3, 2, 4)]
    marked = figures.errors_of_layers(every, {every[0]["Digest"]}).rows
    assert [(r[1], r[4]) for r in marked[:: len(LAYERS)]] == [("2 bits", "no"), ("3 bits", "yes"), ("4 bits", "no")]
    alone = figures.errors_of_layers(figures.chosen(rows, {})).rows
    assert list(dict.fromkeys(r[1] for r in alone)) == ["2 bits", "3 bits"]


def test_layers_of_two_networks_keep_apart() -> None:
    rows = [row(Model_Name=name) for name in ("resnet20", "lenet")]
    found = figures.errors_of_layers(rows).rows
    assert {r[0] for r in found} == {f"{net}: {layer}" for net in ("resnet20", "lenet") for layer in LAYERS}


def test_the_front_of_sparsity_is_not_beaten() -> None:
    rows = figures.sparsity(regularized()).rows
    assert {(r[0], r[1], r[2]) for r in rows if r[6] == "yes"} == {
        ("regularizer L0", "4", 0.01),
        ("regularizer L0", "4", 0.2),
        ("regularizer L1", "4", 0.01),
        ("regularizer L1", "4", 0.05),
        ("regularizer L1", "4", 0.1),
        ("regularizer L1", "4", 0.2),
    }
    assert [r[2:4] for r in rows if r[0] == "regularizer none"] == [(0.0, 18.39), (0.0, 6.77)]


def test_size_and_time() -> None:
    rows = [row(Bits=2), row(Bits=4), {**row(Bits=8), "Quantized Top1 Accuracy": 0.5}]
    assert [r[5] for r in figures.size(rows).rows] == ["yes", "yes", "no"]
    seeds = [row(Seed=s, Wall_Seconds=t) for s, t in enumerate((4.0, 1.0, 2.0))]
    assert figures.times(seeds).rows == (("gpfq", "4", 3, 2.0, 1.0, 4.0, 740, 740, 740),)
    assert figures.times([row()]).rows == ()
    unknown = [{**r, "Peak Memory MiB": None} for r in seeds]
    assert figures.times(unknown).rows[0][6:] == ("", "", "")


@pytest.mark.slow
def test_every_figure_is_drawn_in_both_looks_and_the_same_each_time() -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    integers = [
        {**r, "Method": "gptq", "Integer Top1 Accuracy": 0.8} for r in published(bits=(2, 3), scalars=(1.0, 1.3))
    ]
    for rows in ([*published(bits=(1, 2, 3)), *integers], regularized()):
        for figure in figures.sweep_figures(rows, {}):
            light, dark = (png(figure, theme) for theme in THEMES)
            assert light.startswith(b"\x89PNG") and light != dark
            assert png(figure, "light") == light


@pytest.mark.slow
def test_figures_of_rows_that_know_little_are_drawn() -> None:
    pytest.importorskip("matplotlib", reason='pip install "arithmos[report]"')
    bare = [
        {
            "Status": "done",
            "Quantized Top1 Accuracy": a,
            "Bits": b,
            "Bits per Weight": b,
            "Wall Seconds": 0,
            "Method": "x",
        }
        for a, b in ((0.9, 1), (0.9, 2))
    ]
    zero = [{**r, "Layer Errors": "a=0", "CNN_Alphabet_Scalar": r["Bits"]} for r in bare]
    for rows in (bare, zero, averaged(bare)):
        made = figures.sweep_figures(rows, {})
        assert made and all(png(figure).startswith(b"\x89PNG") for figure in made)


def test_a_legend_reads_line_by_line() -> None:
    shown = sweep_plots._by_lines(list(range(9)), 4)
    columns = [part.tolist() for part in np.array_split(shown, 4)]  # as matplotlib fills them
    assert columns == [[0, 4, 8], [1, 5], [2, 6], [3, 7]]
