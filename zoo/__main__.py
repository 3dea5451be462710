"""python -m zoo: the table of models, with every command as a sub-command. Does not import TensorFlow itself."""

from typing import Any

import click
from click.core import ParameterSource

from zoo.core import registry
from zoobase import console as shell
from zoobase.console import Console
from zoobase.plugins import load_module

VERBS = {
    "train": "Train a model, evaluate it, export it and verify every artifact.",
    "tune": "Search for better hyperparameters, by their validation metric.",
    "evaluate": "Evaluate the best weights of a run on the test split.",
    "predict": "Predict on files or texts with the model of a run or a bundle.",
    "sample": "Generate text or images with the model of a run or a bundle.",
    "stylize": "Transfer the style of an image to a photograph, by optimising its pixels.",
    "runs": "List run folders, ranked by their headline metric.",
    "compare": "Compare runs side by side: settings that differ, curves, metrics.",
    "export": "Export a run again and verify every artifact.",
    "compress": "Find the smallest or fastest file of a model within a budget of quality.",
    "device": "From a folder of photographs, texts or masks to a TFLite file for mobile apps.",
    "info": "Show the card of a model.",
    "weights": "List the trained weights of all models.",
}
PACKAGES = ("device", "weights")  # commands that are more than a file


class Verbs(shell.Commands):
    """Sub-commands that are imported when they are used: one file per command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a typical workflow."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in VERBS:
            return None
        return load_module(f"zoo.{name}.__main__" if name in PACKAGES else f"zoo.{name}").main

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Treat a positional name with wildcards as the value of `--match`."""
        patterns = [a for i, a in enumerate(args) if set(a) & set("*?[") and (i == 0 or args[i - 1] != "--match")]
        if patterns and not set(args) & set(VERBS):
            args = [a for a in args if a not in patterns] + ["--match", patterns[0]]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group("zoo", cls=Verbs, invoke_without_command=True)
@click.option("--task", help='Only models of a task, such as "classification" or "text classification".')
@click.option(
    "--pretrained", is_flag=True, help="Only models with trained weights, and what those know (imports Keras)."
)
@click.option(
    "--match",
    default="*",
    show_default=True,
    metavar="PATTERN",
    help='Only names such as "*flow*", exercises of the course included.',
)
@click.pass_context
@shell.common_options
def main_command(ctx: click.Context, task: str | None, pretrained: bool, match: str, console: Console) -> None:
    """Models that are verified after export. Without a command, the models are listed."""
    if ctx.invoked_subcommand is not None:
        for option in ctx.command.params:
            if ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE and option.name != "debug":
                raise click.UsageError(f"{option.opts[0]} belongs to the list of models; options of a verb follow it")
        return
    every = registry.entries()
    # a pattern finds every model, the list has those to use
    names = registry.list_models(match, task=task, pretrained=pretrained or None, listed=match == "*" or None)
    entries = [every[name] for name in names]
    keys = ("name", "task", "data", "summary", "expect")
    rows = [
        {key: getattr(e, key) for key in keys} | {"test_data": e.headline_data, "weights": list(e.weights)}
        for e in entries
    ]
    if pretrained:
        from zoo.weights.__main__ import print_table, table

        known = table(names)
        for row in rows:
            own = (weights for weights in known if weights["model"] == row["name"])
            row["trained"] = [{key: value for key, value in weights.items() if key != "model"} for weights in own]
        if not console.json:
            print_table(console, known, ("model", "weights", "MB", "licence", "trained_on"))
            console.print('next: zoo.build(NAME, weights=...), or python -m zoo.predict NAME INPUT for "default"')
    elif not console.json:
        lines = [(e.name, e.task_words, e.headline) for e in entries]  # whole in 80 columns; the rest is in `info`
        console.lines(("model", "task", "metric"), lines)
        if match == "*" and not task:
            others = [name for name in registry.list_models(listed=False) if not every[name].of_course]
            console.print(f"to train on data of your own: {', '.join(others)}")
        console.print("next: python -m zoo info NAME" if lines else "no model matches; python -m zoo lists all models")
    console.result(rows)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; the console script `zoo`."""
    shell.run(main_command, arguments, prog="zoo")


if __name__ == "__main__":
    main()
