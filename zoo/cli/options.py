"""Command-line options made of declarations: of `TrainSettings`, of `Recipe`, and of the signature of a builder."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from zoo.core import registry
from zoo.core.recipe import Recipe, check_value, default_of, split
from zoo.core.settings import TrainSettings, parse_config
from zoobase.errors import UsageError

MODEL_OPTIONS = f"{__name__}.model_options"  # keys in the `meta` of a click context
ARGUMENTS = f"{__name__}.arguments"
METAVARS = {bool: "BOOLEAN", int: "INTEGER", float: "FLOAT", tuple: "LIST", list: "LIST"}  # by the type of a default


class SettingOption(click.Option):
    """An option that sets `target`: a field of `TrainSettings`, or one of its `settings` such as recipe.epochs."""

    def __init__(self, declarations: list[str], *, target: str, **attributes: Any) -> None:
        """Declare it; it has no default, so that what the user gives is known."""
        super().__init__(declarations, **{"default": None, **attributes})
        self.target = target


def settings_options(
    *names: str, of: type = TrainSettings, **defaults: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add options of settings to a command, and pass it what the user gives as `given`: a part of the fields."""
    chosen = (*names, *defaults)
    declared = [f for f in dataclasses.fields(of) if not chosen or f.name in chosen]
    recipe = [f for f in dataclasses.fields(Recipe) if of is TrainSettings and not chosen and "option" in f.metadata]
    options = [
        _declaration(f, f.name, defaults.get(f.name)) for f in declared if f.metadata.get("option", "") is not None
    ]
    options += [_declaration(f, f"recipe.{f.name}", "the recipe's") for f in recipe]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(*args: Any, **values: Any) -> Any:
            return command(*args, given=_given(click.get_current_context(), values), **values)

        for declarations, attributes in reversed(options):
            wrapped = click.option(*declarations, cls=SettingOption, **attributes)(wrapped)
        return wrapped

    return decorate


def _declaration(declared: dataclasses.Field, target: str, shown: str | None) -> tuple[list[str], dict[str, Any]]:
    """Return the names and the attributes of the option of a setting."""
    metadata, default = declared.metadata, default_of(declared)
    name, flag = target.replace(".", "_"), declared.name.replace("_", "-")
    if isinstance(default, bool):
        flag, help = (f"--no-{flag}", metadata["negative"]) if default else (f"--{flag}", metadata["help"])
        return [flag, name], {"target": target, "is_flag": True, "flag_value": not default, "help": help}
    shown = shown or metadata.get("shown", default)
    suffix = "" if shown in (None, (), {}) else f"  [default: {shown}]"
    attributes = {"target": target, "help": metadata["help"] + suffix, "metavar": metadata.get("metavar")}
    if default == {}:
        return [metadata["option"], name], attributes | {"multiple": True, "metavar": "KEY=VALUE"}
    types = {int: click.INT, float: click.FLOAT}
    attributes["type"] = click.Choice(metadata["choices"]) if metadata["choices"] else types.get(type(default), str)

    def read(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
        if value is not None:
            value = split(value) if isinstance(default, tuple) else value
            check_value(declared, value, option.opts[0])
        return value

    return [f"--{flag}", name], attributes | {"callback": read}


def _given(ctx: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `SettingOption`s out of `values`; return them as fields of `TrainSettings`."""
    given: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in ctx.command.get_params(ctx):
        if not isinstance(option, SettingOption) or (value := values.pop(option.name)) in (None, ()):
            continue
        of_set = option.target == "settings"
        for target, setting in (parse_settings(value) if of_set else {option.target: value}).items():
            source = f"--set {target}" if of_set else option.opts[0]
            if target in sources:
                raise UsageError(f"{source} sets the same as {sources[target]}: omit one of them")
            sources[target] = source
            (settings if of_set or "." in target or target == "data" else given)[target] = setting
    return given | ({"settings": settings} if settings else {})


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Return `--set KEY=VALUE` pairs as a dictionary, the last of two with a key; UsageError without `=`."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE, such as recipe.augment=none, not {pair!r}")
        values[key] = value
    return values


class ModelCommand(click.Command):
    """A command with a NAME argument: the builder arguments of the named model are added as options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the model before the command line is parsed; its options and the line are kept in the context."""
        ctx.meta[ARGUMENTS] = list(args)
        words = list(self._words(args))
        models = registry.entries()
        named = next((word for option, word in words if option is None and word in models), None)
        if (name := named or _model_of_file(dict(words))) in models:
            ctx.meta[MODEL_OPTIONS] = list(_options(models[name], {o for p in self.params for o in p.opts}))
        return super().parse_args(ctx, args)

    def _words(self, args: list[str]) -> Iterator[tuple[str | None, str]]:
        """Yield (None, argument) and (option, value) of a command line."""
        # Options that are not the command's own are the model's, which is not known yet; all of these take a value.
        switches = {o for p in self.params if isinstance(p, click.Option) and p.is_flag for o in p.opts} | {"--help"}
        words = iter(args)
        for word in words:
            option, equals, value = word.partition("=")
            if not word.startswith("-"):
                yield None, word
            elif equals:
                yield option, value
            elif word not in switches:
                yield word, next(words, "")

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the options of the model named in this context."""
        # The command object is shared by all invocations in a process, so it must not be changed.
        parameters, help_option = super().get_params(ctx), self.get_help_option(ctx)
        own = [parameter for parameter in parameters if parameter is not help_option]
        return [*own, *ctx.meta.get(MODEL_OPTIONS, ()), *([help_option] if help_option else [])]


def _model_of_file(options: Mapping[str | None, str]) -> str | None:
    """Return the model that the file of --config or the run of --resume names; None if there is none."""
    files = {"--config": "", "--resume": "config.json"}
    for path in (Path(options[option], inner) for option, inner in files.items() if options.get(option)):
        with contextlib.suppress(OSError, UsageError, UnicodeError):  # reported when the file is read
            return str(parse_config(path).get("model"))
    return None


def _options(entry: registry.ModelEntry, reserved: set[str]) -> Iterator[SettingOption]:
    """Yield the options of a model: arguments of its builder, and the aliases of `zoo.register(flags=...)`."""
    for option in entry.options:
        flag = f"--{option.name.replace('_', '-')}"
        if flag in reserved or option.name in registry.DATA_ARGUMENTS:
            continue
        default = json.dumps(option.default) if isinstance(option.default, list | tuple) else option.default
        yield SettingOption(
            [flag, f"model_{option.name}"],
            target=f"model.{option.name}",
            type=click.Choice(option.choices) if option.choices else str,
            metavar=METAVARS.get(type(option.default)),
            help=f"Argument of {entry.name}; default {default}.",
        )
    for name, target in entry.flags.items():
        long = f"--set {target}=" if "." in target else f"--{target.replace('_', '-')}"
        flag = f"--{name.replace('_', '-')}"
        yield SettingOption([flag, f"flag_{name}"], target=target, help=f"Alias of {long}")
