"""python -m zoo: the table of models, and every verb as a sub-command. Imports no TensorFlow by itself."""

from __future__ import annotations

import importlib
from typing import Any

import click

from commandline import console as shell
from commandline.console import Console
from zoo.core import registry

VERBS = {
    "train": "Train a model, judge it, export it and prove every artifact.",
    "evaluate": "Judge the best weights of a run on the test split.",
    "predict": "Ask the model of a run or a bundle about files or texts.",
    "sample": "Make something new with the model of a run or a bundle.",
    "stylize": "Paint a photograph in the style of a picture, by optimising its pixels.",
    "compare": "Lay runs side by side: settings that differ, curves, metrics.",
    "export": "Export a run again and prove every artifact.",
    "info": "Show the card of a model.",
}


class Verbs(click.Group):
    """Sub-commands that are imported when they are named: one file per verb."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a verb."""
        return importlib.import_module(f"zoo.{name}").main if name in VERBS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take a name with wildcards as `--match`."""
        words = [w for i, w in enumerate(args) if set(w) & set("*?[") and (i == 0 or args[i - 1] != "--match")]
        if words and not set(args) & set(VERBS):
            args = [w for w in args if w not in words] + ["--match", words[0]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Answer a mistyped verb with the nearest ones."""
        if args and args[0] not in VERBS:
            from zoo.core.errors import unknown

            raise unknown("command", args[0], VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group("zoo", cls=Verbs, invoke_without_command=True)
@click.option("--markdown", is_flag=True, help="Print the table of models that the README holds (imports TensorFlow).")
@click.option("--task", help='Only models of a task, such as "classification" or "text classification".')
@click.option("--pretrained", is_flag=True, help="Only models that have trained weights.")
@click.option("--match", default="*", show_default=True, metavar="PATTERN", help='Only names such as "*flow*".')
@click.pass_context
@shell.common_options
def main_command(
    ctx: click.Context, markdown: bool, task: str | None, pretrained: bool, match: str, console: Console
) -> None:
    """Models that are proven after export. Without a command: the table of models."""
    if ctx.invoked_subcommand is not None:
        return
    every = registry.entries()
    entries = [every[name] for name in registry.list_models(match, task=task, pretrained=pretrained or None)]
    if markdown:
        from zoo.info import markdown_table

        click.echo(markdown_table(), nl=False)
        return
    keys = ("name", "task", "data", "summary", "expect", "weights")
    rows = [{key: getattr(e, key) for key in keys} | {"weights": list(e.weights)} for e in entries]
    if not console.json:
        lines = [(e.name, e.task_words, e.headline, e.weights[0] if e.weights else "") for e in entries]
        console.lines(("model", "what it is", "figure", "weights"), lines)
        console.print("next: python -m zoo info NAME" if lines else "no model is like that; python -m zoo lists all")
    console.result(rows)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; the console script `zoo`."""
    shell.run(main_command, arguments, prog="zoo")


if __name__ == "__main__":
    main()
