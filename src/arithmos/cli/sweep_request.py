"""What the command line of `sweep` asks for: the grid, the recipe that all runs share, the networks, the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from arithmos.cli import flags
from arithmos.cli.config_flags import chosen, merged
from arithmos.cli.sweep_flags import sorted_flags
from arithmos.errors import UsageError
from arithmos.lower.recipe import Recipe, plain, read_recipe, refuse_unknown
from arithmos.sweep.configuration import check_base, check_points
from arithmos.sweep.definition import Definition, as_table, read_definition
from arithmos.sweep.grid import Grid, grid_of, points
from arithmos.sweep.select import Rule, rule_of


@dataclass(frozen=True, slots=True)
class Request:
    """grid: with "network" in it where there are several. base: every field of the recipe that all runs share.

    networks: {name: its flags}. integers: whether integer networks are measured too. seed: of the runs for which the
    grid has none. rule: None where none is given.
    """

    grid: Grid
    base: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    integers: bool
    seed: int
    rule: Rule | None

    @property
    def definition(self) -> Definition:
        """The whole as a sweep's file keeps it: of the recipe what is not as usual, and what makes integer networks."""
        usual = plain(Recipe())
        kept = {key: value for key, value in self.base.items() if value != usual[key]}
        kept |= {"activation_bits": self.base["activation_bits"]} if self.integers else {}
        networks = tuple(_told(name, given) for name, given in self.networks.items())
        seed = {"seed": (self.seed,)} if self.seed else {}
        return Definition(as_table({**seed, **self.grid}), kept, networks)


def request_of(sources: Sequence[str], given: Mapping[str, Any]) -> Request:
    """The request, every value checked and every combination: what is refused is refused before anything starts.

    sources: WEIGHTS, SWEEP.toml, and what follows --grid KEY=VALUES, in any order. Raises UsageError.
    """
    weights, file, items = _sorted(sources)
    definition = read_definition(file) if file else Definition()
    items = [*given["grid"], *items]
    given, of_flags = sorted_flags(given, [*definition.grid, *(item.partition("=")[0].strip() for item in items)])
    base = _base(definition, given)
    check_base(base, str(file or ""))
    chosen_values = grid_of(definition.grid, [*items, *of_flags], str(file or ""))
    asked = {key for key, values in chosen_values.items() if key != "seed" or len(values) > 1}
    check_points(points(chosen_values), base, asked | {key for key in base if given.get(key) is not None})
    networks = _networks(definition, weights, given)
    grid = _with_networks(chosen_values, networks)
    named = {*grid, *definition.recipe, *chosen(given, given["sets"], base)}
    integers = "activation_bits" in named or base["activation_bits"] != Recipe().activation_bits
    integers = integers or any("activation_bits" in table for table in base["overrides"].values())
    rule = None if given["select"] is None else rule_of(given["select"])
    return Request(grid, base, networks, integers, given["seed"], rule)


def _sorted(sources: Sequence[str]) -> tuple[Path | None, Path | None, list[str]]:
    """(weights, file of a sweep, items of the grid)."""
    items = [text for text in sources if "=" in text and not Path(text).exists()]
    paths = [text for text in sources if text not in items]
    files = [text for text in paths if text.endswith(".toml")]
    weights = [text for text in paths if text not in files]
    if len(files) > 1 or len(weights) > 1:
        raise UsageError(
            f"{', '.join(files if len(files) > 1 else weights)} are too many",
            why="a sweep has one file, and WEIGHTS are those of one network",
            fix="write several networks as [[network]] in the file",
        )
    return (
        flags.WEIGHTS.convert(weights[0], None, None) if weights else None,
        flags.EXISTING.convert(files[0], None, None) if files else None,
        items,
    )


def _base(definition: Definition, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of the shared recipe: defaults, --recipe, [recipe], flags and --set, in this order."""
    start = plain(read_recipe(given["recipe_file"]) if given["recipe_file"] else Recipe())
    base = merged(merged(start, definition.recipe), chosen(given, given["sets"], start))
    refuse_unknown(base, [f.name for f in fields(Recipe)])
    return base


def _networks(definition: Definition, weights: Path | None, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{name: what `load_subject` and `samples_of` take}, of the file's tables or of the flags."""
    if definition.networks and (given["model"] or weights):
        raise UsageError(
            "networks are named twice",
            why="the file has [[network]], and so have the flags",
            fix="leave --model and WEIGHTS out, or take [[network]] out of the file",
        )
    if not definition.networks and not given["model"]:
        raise UsageError(
            "no network is named",
            why="a sweep quantizes one or more",
            fix="give WEIGHTS and --model, or write [[network]] into the file",
        )
    if not definition.networks:
        return {Path(given["model"]).name: {**given, "weights": weights}}
    return {str(table.get("name", table["model"])): _flags_of(table, given) for table in definition.networks}


def _flags_of(table: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A [[network]] as flags: its own values over those of the command line."""
    own: dict[str, Any] = {key: tuple(x) if isinstance(x, list) else x for key, x in table.items()}
    own |= {"data_dir": Path(own["data_dir"])} if "data_dir" in own else {}
    own |= {"n_labelled": own.pop("max_images")} if "max_images" in own else {}
    own["weights"] = flags.WEIGHTS.convert(own["weights"], None, None) if "weights" in own else None
    return {**given, **own}


def _with_networks(grid: Grid, networks: Mapping[str, Any]) -> Grid:
    """The grid with the networks as its first key, where it chooses among several of them and does not say so."""
    if unknown := [name for name in grid.get("network", ()) if name not in networks]:
        raise UsageError(
            f"the grid names networks that are not defined: {', '.join(unknown)}",
            why=f"there are {', '.join(networks)}",
            fix="write a [[network]] with this name, or leave it out of the grid",
        )
    return grid if "network" in grid or len(networks) == 1 else {"network": tuple(networks), **grid}


def _told(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a network as a [[network]] that gives them again."""
    own = {"name": name, "max_images": given["n_labelled"], **given}
    own |= {key: str(own[key]) for key in ("weights", "data_dir") if own[key]}
    kept = ("name", "model", "weights", "example", "input_size", "classes", "mean", "std", "dataset", "data_dir")
    more = ("calibration_split", "n_calibration", "max_images")
    return {key: own[key] for key in (*kept, *more) if own.get(key)}
