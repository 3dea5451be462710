"""python -m zoo.cluster KIND RUN|MODEL: write the file that starts a training on a cluster."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import click

from zoo.core import registry
from zoobase import console as shell
from zoobase.console import Console, echo
from zoobase.errors import UsageError

TEMPLATES = Path(__file__).parent / "distribution" / "templates"
KINDS = {"jobset": "jobset.yaml", "rayjob": "rayjob.yaml", "slurm": "train.slurm", "dockerfile": "Dockerfile"}
IMAGE = "REGISTRY/keras-proof-zoo"


class Template(string.Template):
    """A text in which @name is replaced: files of shells and of Kubernetes are full of dollars."""

    delimiter = "@"


def run(
    kind: str, source: str | Path, *, workers: int = 4, image: str = IMAGE, cpus: int = 8, memory: str = "16Gi"
) -> str:
    """Return the text of a file that starts a training on a cluster, and resumes it where it is started again.

    Args:
        kind: "jobset" and "rayjob" for Kubernetes, "slurm", or "dockerfile" for the image of the first two.
        source: The run folder whose training is repeated, or the name of a model.
        workers: The number of workers.
        image: The name of the image.
        cpus: Processors of each worker.
        memory: Memory of each worker, in the units of Kubernetes.

    Raises:
        UsageError: Unknown model, or the data of the run was given in memory.

    Example:
        >>> print(run("slurm", "mnist", workers=2).splitlines()[1])
        # 2 workers on Slurm, one on each node: sbatch train.slurm
    """
    command = _command(source)
    values: dict[str, Any] = {"workers": workers, "image": image, "cpus": cpus, "memory": memory}
    values |= {"command": command, "quoted": command.replace("'", "'\\''")}  # the second is inside single quotes
    return Template((TEMPLATES / f"{KINDS[kind]}.txt").read_text(encoding="utf-8")).substitute(values)


def _command(source: str | Path) -> str:
    """Return the command line of a training, without --out."""
    if not Path(source).is_dir():
        registry.get_entry(str(source))
        return f"python -m zoo.train {source}"
    from zoo.core.run_folder import RunFolder

    command = RunFolder.open(source).plan().command()
    if not command.startswith("python "):
        raise UsageError(f"{source} was trained on data in memory; a cluster needs a dataset with a name")
    return command


@click.command("cluster")
@click.argument("kind", type=click.Choice(tuple(KINDS)))
@click.argument("source", metavar="RUN|MODEL")
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1), help="Number of workers.")
@click.option("--image", default=IMAGE, show_default=True, help="Name of the image, of jobset and rayjob.")
@click.option("--cpus", default=8, show_default=True, type=click.IntRange(1), help="Processors of each worker.")
@click.option("--memory", default="16Gi", show_default=True, help="Memory of each worker, of jobset and rayjob.")
@click.option("-o", "--out", metavar="FILE", help="The file to write; without it the text is printed.")
@shell.common_options
def main(
    kind: str, source: str, workers: int, image: str, cpus: int, memory: str, out: str | None, console: Console
) -> None:
    """Write the file that starts the training of RUN again, or that of MODEL, on a cluster.

    jobset and rayjob are for Kubernetes (JobSet, KubeRay), slurm is a job for sbatch, dockerfile the image of the first
    two, to be built in a checkout.
    """
    text = run(kind, source, workers=workers, image=image, cpus=cpus, memory=memory)
    console.result({"file": text if out is None else out})
    if out is not None:
        Path(out).write_text(text, encoding="utf-8")
        following = {"slurm": "sbatch {}", "dockerfile": "docker build -f {} -t " + image + " ."}
        console.print(f"{out}: written. Next: {following.get(kind, 'kubectl apply -f {}').format(out)}")
    elif not console.json:
        echo(text.rstrip())


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.cluster")
