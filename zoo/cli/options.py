"""Command-line options that are derived from the signature of a model's builder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from zoo.core import registry
from zoobase.errors import UsageError, unknown

PREFIX, FLAG = "model_", "flag_"  # prefixes of click parameters: builder arguments, and the `flags` of `zoo.register`
MODEL_OPTIONS = f"{__name__}.model_options"  # keys in the `meta` of a click context
ARGUMENTS = f"{__name__}.arguments"


def check_quantize(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of quantised formats; UsageError with the closest matches for an unknown one."""
    from export.formats.tflite import QUANTIZE

    for name in names:
        if name not in QUANTIZE:
            raise unknown("precision", name, QUANTIZE)
    return tuple(names)


def _split(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    return check_quantize([name.strip() for name in value.split(",")]) if value else ()


quantize_option = click.option(
    "--quantize", metavar="A,B", callback=_split, help="Also export quantised TFLite files: float16,dynamic,int8."
)


class ModelCommand(click.Command):
    """A command with a NAME argument: the builder arguments of the named model are added as options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the model on the command line before it is parsed; its options and the line are kept in the context."""
        ctx.meta[ARGUMENTS] = list(args)
        name = next((a for a in self._positional(args) if a in registry.entries()), None)
        if name is not None:
            reserved = {o for p in self.params for o in p.opts}
            ctx.meta[MODEL_OPTIONS] = _options(registry.get_entry(name), reserved)
        return super().parse_args(ctx, args)

    def _positional(self, args: list[str]) -> Iterator[str]:
        """Yield the arguments that are neither options nor their values.

        Options that are not the command's own are the model's, which is not known yet; all of these take a value.
        """
        switches = {o for p in self.params if isinstance(p, click.Option) and p.is_flag for o in p.opts} | {"--help"}
        words = iter(args)
        for word in words:
            if not word.startswith("-"):
                yield word
            elif "=" not in word and word not in switches:
                next(words, None)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the options of the model named in this context.

        The command object is shared by all invocations in a process, so it must not be changed.
        """
        parameters, help_option = super().get_params(ctx), self.get_help_option(ctx)
        own = [parameter for parameter in parameters if parameter is not help_option]
        return [*own, *ctx.meta.get(MODEL_OPTIONS, ()), *([help_option] if help_option else [])]


def _options(entry: registry.Entry, reserved: set[str]) -> list[click.Option]:
    options = []
    for option in entry.options:
        flag = f"--{option.name.replace('_', '-')}"
        if flag in reserved or option.name in registry.DATA_ARGUMENTS:
            continue
        kind: Any = click.Choice(option.choices) if option.choices else str
        default = json.dumps(option.default) if isinstance(option.default, list | tuple) else option.default
        help = f"Argument of {entry.name}; default {default}."
        options.append(click.Option([flag, PREFIX + option.name], type=kind, default=None, help=help))
    for name, target in entry.flags.items():
        long = "--data-dir" if target == "data_dir" else f"--set {target}="
        options.append(click.Option([f"--{name.replace('_', '-')}", FLAG + name], help=f"Alias of {long}"))
    return options


def model_arguments(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the builder arguments among a command's parameters that have a value."""
    return {k.removeprefix(PREFIX): v for k, v in parameters.items() if k.startswith(PREFIX) and v is not None}


def flags(name: str | None, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a model's additional options set: {"task.style": value}, or "data_dir"."""
    targets = registry.get_entry(name).flags if name is not None else {}
    values = {target: parameters.get(FLAG + short) for short, target in targets.items()}
    return {target: value for target, value in values.items() if value is not None}


def settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return `--set KEY=VALUE` pairs as a dictionary; UsageError for one without `=`."""
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE, such as recipe.augment=none, not {pair!r}")
        values[key.strip()] = value.strip()
    return values
