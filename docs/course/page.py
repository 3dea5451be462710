"""One page of the course: text, figures, tables, code that ran, and claims that are checked before they are written."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course import compose
from docs.figures import check_axes
from zoo.core.plan import Plan, make_plan
from zoobase.errors import ZooError
from zoobase.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from docs.course.lessons import Lesson
    from pipelines.dataset import Dataset
    from zoo.core.run_folder import RunFolder

COLOURS = (192, 96, 48)  # of a figure's palette, the largest that fits
BYTES = 140_000  # of a figure
WIDTH = 118  # of the lines of text


class Page:
    """A page that a lesson writes from what it measures.

    Attributes:
        lesson: The lesson.
        name: Name of the page and of its figures.
        folder: Folder of the page; figures go to its folder `figures`.
        scratch: Folder for runs and bundles, which are not kept.
        small: Whether to compute the smallest form, for tests.
        data_dirs: Name of a dataset -> its path, for data that is not fetched.
        claims: The sentences that were checked.
    """

    def __init__(
        self,
        lesson: Lesson,
        folder: Path,
        scratch: Path,
        small: bool = False,
        data_dirs: Mapping[str, str] | None = None,
    ) -> None:
        """Begin an empty page."""
        self.lesson, self.name, self.folder, self.scratch, self.small = lesson, lesson.name, folder, scratch, small
        self.data_dirs = dict(data_dirs or {})
        self._datasets: dict[str, Dataset] = {}
        self.parts: list[str] = []
        self.claims: list[str] = []
        self.images: list[Path] = []

    @property
    def seeds(self) -> tuple[int, ...]:
        """The random seeds of what is trained several times."""
        return self.choose((0, 1, 2), (0,))

    def choose(self, full: Any, small: Any) -> Any:
        """Return the first value, or the second one for the smallest form."""
        return small if self.small else full

    # === Parts of the text ===

    def heading(self, title: str) -> None:
        """Begin a section."""
        self.parts.append(f"### {title}")

    def text(self, paragraph: str) -> None:
        """Add a paragraph, a list or a link in Markdown; line breaks within a paragraph of the source are dropped."""
        paragraph = inspect.cleandoc(paragraph)
        if not paragraph.startswith(("-", "1.", "|")):
            paragraph = textwrap.fill(
                " ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False
            )
        self.parts.append(paragraph)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table; numbers are aligned to the right and shown with four digits."""
        numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
        lines = [header, ["---:" if is_number else "---" for is_number in numeric]]
        lines += [[_cell(value) for value in row] for row in rows]
        self.parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in lines))

    def code(self, *functions: Callable[..., Any] | type) -> None:
        """Add the source of functions of the lesson, which is the code that ran."""
        sources = [textwrap.dedent(inspect.getsource(function)).strip() for function in functions]
        self.parts.append("```python\n" + "\n\n\n".join(sources) + "\n```")

    def command(self, *lines: str) -> None:
        """Add command lines that repeat what is shown."""
        self.parts.append("\n".join(f"    {line}" for line in lines))

    def output(self, text: str) -> None:
        """Add what a command printed."""
        self.parts.append(f"```text\n{text.rstrip()}\n```")

    def figure(self, figure: Figure, name: str, description: str, data: str, seeds: str = "") -> None:
        """Write a figure, and show it with its data, its seeds and the machine.

        Args:
            figure: The figure.
            name: Name of its file.
            description: What it shows.
            data: The data, or "none".
            seeds: The seeds, if they are not those of the page.
        """
        from zoo.evaluation import plots

        check_axes(figure, f"{self.name}-{name}")
        path = self.folder / "figures" / f"{self.name}-{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(plots.pixels(figure), path)
        self.images.append(path)
        self.parts.append(f"![{description}](figures/{path.name})")
        self.parts.append(f"*{description}. Data: {data}. {seeds or self.seed_text}. Machine: {machine()}.*")

    @property
    def seed_text(self) -> str:
        """The seeds of the page, in words."""
        return f"Seeds {', '.join(map(str, self.seeds))}" if len(self.seeds) > 1 else f"Seed {self.seeds[0]}"

    def claim(self, holds: Any, sentence: str) -> None:
        """Add a sentence to the list of what was checked.

        Raises:
            ZooError: It does not hold: the page is not written.
        """
        if not bool(holds):
            raise ZooError(f"the page {self.name} is not written, because this does not hold: {sentence}")
        self.claims.append(sentence)

    def save(self, written_by: str) -> Path:
        """Write the page."""
        claims = "\n".join(f"- {sentence}" for sentence in self.claims)
        parts = [written_by, *self.parts]
        parts += ["### What was checked", "The command stops if one of these does not hold.", claims]
        path = self.folder / f"{self.name}.md"
        write_atomic(path, compose.page(self.lesson, "\n\n".join(parts)).encode())
        return path

    # === Trainings ===

    def plan(self, model: str, settings: Mapping[str, Any] | None = None, seed: int = 0) -> Plan:
        """Return the plan of a training in float32, with the settings of `--set`."""
        plan = make_plan(model, settings=dict(settings or {}), seed=seed, precision="float32")
        return dataclasses.replace(plan, data=plan.data | {"data_dir": self.data_dirs.get(plan.data["name"])})

    def dataset(self, plan: Plan) -> Dataset:
        """Return the data of a plan, which is loaded once for all plans that share it."""
        key = json.dumps([type(plan.task).__name__, plan.data, plan.recipe.split, plan.recipe.limit])
        if key not in self._datasets:
            self._datasets[key] = plan.load_data()
        return self._datasets[key]

    def train(
        self,
        model: str,
        settings: Mapping[str, Any],
        seed: int = 0,
        dataset: Dataset | None = None,
        callbacks: Sequence[Any] = (),
    ) -> RunFolder:
        """Train a model as `zoo.train` does, without evaluation and export; the same training is done once.

        Args:
            model: Name of the model.
            settings: The settings of `--set`.
            seed: Random seed.
            dataset: The data, if it is not that of the settings.
            callbacks: Keras callbacks.
        """
        from zoo.core.run_folder import RunFolder
        from zoo.training import trainer
        from zoo.training.compiling import UserObjects
        from zoo.training.session import Session

        plan = self.plan(model, settings, seed)
        if dataset is None:
            dataset = self.dataset(plan)
        else:
            plan = plan.with_dataset(dataset.info)
            dataset = plan.prepare(dataset)
        key = hashlib.sha256(json.dumps(plan.to_json(), default=str).encode()).hexdigest()[:12]
        out = self.scratch / f"{model}-{key}"
        if not RunFolder.exists(out):
            run = RunFolder.create(model, out)
            run.save_config(plan, dataset.info, {})
            trainer.train_best(Session(plan, run, dataset, objects=UserObjects(tuple(callbacks))))
        return RunFolder(out)


def machine() -> str:
    """Return the cores and the processor."""
    from zoo.training.autotune import processor

    return f"{os.cpu_count()} cores of {processor()}"


def write_png(pixels: np.ndarray, path: Path) -> None:
    """Write an image uint8 (H, W, 3) with a palette of few colours, and smaller if it would be a large file."""
    from PIL import Image

    image = Image.fromarray(pixels)
    while True:
        for colours in COLOURS:
            image.quantize(colours).save(path, optimize=True)
            if path.stat().st_size <= BYTES:
                return
        image = image.resize((round(0.8 * image.width), round(0.8 * image.height)))


def train_command(model: str, settings: Mapping[str, Any], seed: int = 0) -> str:
    """Return the command line of a training."""
    return f"{make_plan(model, settings=dict(settings), seed=seed).command()} --precision float32 --no-export"


def axes_row(count: int, height: float = 3.4, width: float = 4.2, rows: int = 1) -> tuple[Figure, Any]:
    """Return a figure with `count` axes in each of its rows, and the axes: (count,) or (rows, count)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height * rows), layout="constrained")
    axes = figure.subplots(rows, count, squeeze=False)
    return figure, axes[0] if rows == 1 else axes


def band(axes: Axes, values: Any, label: str, colour: str, x: Any = None) -> None:
    """Plot the mean of curves (seeds, steps), with a band from the lowest to the highest seed."""
    values = np.asarray(values)
    x = np.arange(1, values.shape[1] + 1) if x is None else x
    axes.plot(x, values.mean(axis=0), color=colour, label=label)
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.grid(alpha=0.3)


def show(axes: Axes, image: Any, title: str = "", **options: Any) -> None:
    """Show an image (H, W) or (H, W, 1 or 3) without ticks; pixels in [0, 255] unless `options` say otherwise."""
    image = np.asarray(image)
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if image.ndim == 3 and image.dtype != np.uint8:
        image = np.clip(image, 0, 255).astype(np.uint8)
    axes.imshow(image, **{"cmap": "gray", "vmin": 0, "vmax": 255} | options)
    axes.set(xticks=[], yticks=[])
    if title:
        axes.set_title(title, fontsize=9)


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return str(value)
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.4g}"
