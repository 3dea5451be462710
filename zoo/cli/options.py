"""Command lines whose options come from the signature of the model that is named on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from zoo.core import registry
from zoo.core.errors import UsageError, unknown

PREFIX, FLAG = "model_", "flag_"  # of the parameters that are builder arguments, and of the model's own short names


def check_quantize(names: Iterable[str]) -> tuple[str, ...]:
    """Return the precisions asked for; UsageError for one that there is not, with the nearest names."""
    from export.formats.tflite import QUANTIZE

    for name in names:
        if name not in QUANTIZE:
            raise unknown("precision", name, QUANTIZE)
    return tuple(names)


def _split(ctx: click.Context, option: click.Parameter, given: str | None) -> tuple[str, ...]:
    return check_quantize([name.strip() for name in given.split(",")]) if given else ()


quantize_option = click.option(
    "--quantize", metavar="A,B", callback=_split, help="Export and prove coarser TFLite too: float16,dynamic,int8."
)


class ModelCommand(click.Command):
    """A command with a NAME argument: naming a model adds its builder's arguments as options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the options of the model before the line is read."""
        named = next((a for a in args if a in registry.entries()), None)
        if named is not None:
            taken = {o for p in self.params for o in p.opts}
            self.params = [*self.params, *_options(registry.get_entry(named), taken)]
        return super().parse_args(ctx, args)


def _options(entry: registry.Entry, taken: set[str]) -> list[click.Option]:
    found = []
    for option in entry.options:
        flag = f"--{option.name.replace('_', '-')}"
        if flag in taken or option.name in registry.DECIDED_BY_DATA:
            continue
        kind: Any = click.Choice(option.choices) if option.choices else str
        help = f"Of {entry.name}; default {option.default}."
        found.append(click.Option([flag, PREFIX + option.name], type=kind, default=None, help=help))
    for name, target in entry.flags.items():
        long = "--data-dir" if target == "data_dir" else f"--set {target}="
        found.append(click.Option([f"--{name.replace('_', '-')}", FLAG + name], help=f"Of {entry.name}; {long}"))
    return found


def model_arguments(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the builder arguments among a command's parameters: those that were given."""
    return {k.removeprefix(PREFIX): v for k, v in parameters.items() if k.startswith(PREFIX) and v is not None}


def flags(name: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the short names that a model has for settings say: {"task.style": value}, or "data_dir"."""
    known = registry.get_entry(name).flags if name is not None else {}
    given = {target: parameters.get(FLAG + short) for short, target in known.items()}
    return {target: value for target, value in given.items() if value is not None}


def settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return `--set KEY=VALUE` pairs as a dictionary; UsageError for one without `=`."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE, such as recipe.augment=none, not {pair!r}")
        found[key.strip()] = value.strip()
    return found
