"""python -m docs.architecture: draw docs/images/architecture.svg, the packages and their files."""

from pathlib import Path

import click

FILE = Path(__file__).parent / "images" / "architecture.svg"
WIDTH, HEIGHT = 960, 360
BOX = 250  # width
BOXES = {  # title -> x, colour, what it does, parts
    "pipelines": (20, "#dbeafe", "data", "datasets: sources, licence", "splits and cache", "decode, augment, batch"),
    "zoo": (355, "#dcfce7", "models and training", "models: one file per family", "tasks: loss, metrics", "trainer"),
    "export": (
        690,
        "#fef3c7",
        "artifacts and certificate",
        "one writer per format",
        "one process per runtime",
        "compare",
    ),
}
ARTIFACTS = ("model.keras, .h5, .weights.h5", "saved_model/", "tflite/*.tflite", "parity.json, golden/, README.md")
ARROWS = ((270, 355, "Dataset, Feed"), (605, 690, "model, Contract"))


def draw() -> str:
    """Return the drawing as SVG text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="14">',
        "<title>pipelines feeds zoo, zoo gives models to export, export writes a bundle</title>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L10 5 L0 10 z" fill="#475569"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for title, (x, colour, summary, *lines) in BOXES.items():
        parts += [
            f'<rect x="{x}" y="20" width="{BOX}" height="150" rx="8" fill="{colour}" stroke="#475569"/>',
            _text(x + BOX / 2, 46, title, 'font-weight="bold" font-size="17"'),
            _text(x + BOX / 2, 68, summary, 'fill="#475569"'),
            *(_text(x + BOX / 2, 100 + 22 * i, line) for i, line in enumerate(lines)),
        ]
    for start, end, label in ARROWS:
        parts += [_arrow(start, 95, end, 95), _text((start + end) / 2, 85, label.split(", ")[0], 'font-size="12"')]
        parts += [_text((start + end) / 2, 112, label.split(", ")[1], 'font-size="12"')]
    parts += [
        '<rect x="690" y="220" width="250" height="120" rx="8" fill="#f1f5f9" stroke="#475569"/>',
        _text(815, 243, "bundle", 'font-weight="bold" font-size="17"'),
        *(_text(815, 266 + 20 * i, line, 'font-size="13"') for i, line in enumerate(ARTIFACTS)),
        _arrow(815, 170, 815, 220),
        _text(822, 199, "if the verdict is pass", 'font-size="12" text-anchor="start"', anchor=False),
        '<rect x="355" y="220" width="250" height="120" rx="8" fill="#f1f5f9" stroke="#475569"/>',
        _text(480, 243, "run folder", 'font-weight="bold" font-size="17"'),
        _text(480, 266, "config.json, history.csv", 'font-size="13"'),
        _text(480, 286, "checkpoints/, logs/", 'font-size="13"'),
        _text(480, 306, "evaluation.json, figures/", 'font-size="13"'),
        _arrow(480, 170, 480, 220),
        '<rect x="20" y="220" width="250" height="120" rx="8" fill="#f1f5f9" stroke="#475569"/>',
        _text(145, 243, "sources", 'font-weight="bold" font-size="17"'),
        _text(145, 266, "--data-dir: your own files", 'font-size="13"'),
        _text(145, 286, "prepared cache, installed packages", 'font-size="13"'),
        _text(145, 306, "TensorFlow Datasets, package index", 'font-size="13"'),
        _arrow(145, 220, 145, 170),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, attributes: str = "", anchor: bool = True) -> str:
    middle = 'text-anchor="middle" ' if anchor else ""
    return f'<text x="{x:g}" y="{y:g}" {middle}{attributes}>{text}</text>'.replace(" >", ">")


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#475569" stroke-width="2" marker-end="url(#head)"/>'


@click.command("architecture")
def main() -> None:
    """Write docs/images/architecture.svg."""
    FILE.write_text(draw(), encoding="utf-8")
    click.echo(f"written: {FILE}")


if __name__ == "__main__":
    main()
