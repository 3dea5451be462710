"""python -m export model FILE -o BUNDLE: export a Keras model with a proof."""

from pathlib import Path
from typing import Any

import click

from export.bundle.layout import IF_EXISTS, choose_path
from export.cli import PATH, show_certificate
from export.contract.quantization import MAX_DROP
from export.formats import DEFAULT_FORMATS, QUANTIZATIONS
from export.formats.keras import read_model
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.errors import ExportFailed


@click.command("model")
@click.argument("file", type=PATH)
@click.option("-o", "--out", required=True, type=PATH, help="The bundle to write.")
@click.option("--formats", metavar="A,B", help=f"Formats by name, or all. Default: {','.join(DEFAULT_FORMATS)}.")
@click.option("--samples", type=PATH, help="An .npz file with real inputs by name.")
@click.option("--labels", type=PATH, help="Class names, one on each line.")
@click.option("--contract", "contract_file", type=PATH, help="A contract that inspect --contract wrote.")
@click.option("--require", multiple=True, metavar="NAME", help="Incomplete without this runtime or format.")
@click.option("--extra", "extras", multiple=True, metavar="NAME", help="Also run this runtime, if it is installed.")
@click.option("--version", default="1", show_default=True, metavar="next|N|time", help="Version of the SavedModel.")
@click.option("--if-exists", type=click.Choice(IF_EXISTS), default="error", show_default=True, help="If OUT exists.")
@click.option("--quantize", metavar="A,B", help=f"Quantised files to write too: {','.join(QUANTIZATIONS)}.")
@click.option("--calibration", type=PATH, help="Real training inputs that measure ranges, an .npz by name.")
@click.option("--eval", "evaluation", type=PATH, help="Inputs by name and one array of labels, as .npz.")
@click.option(
    "--max-drop",
    default=MAX_DROP,
    show_default=True,
    help="Largest allowed metric drop of a quantised file, and in half precision.",
)
@click.option(
    "--keep-float", default=0, metavar="N", help="Consecutive operators of int8 that stay float, those that lose most."
)
@click.option("--sign", type=PATH, metavar="KEY", help="Sign the bundle with this private key (PEM).")
@common_options
def command(
    file: Path,
    out: Path,
    formats: str | None,
    samples: Path | None,
    labels: Path | None,
    contract_file: Path | None,
    quantize: str | None,
    calibration: Path | None,
    evaluation: Path | None,
    sign: Path | None,
    console: Console,
    **options: Any,
) -> None:
    """Export the Keras model in FILE (.keras or .h5) with a proof."""
    from export.bundle import signature
    from export.cli.inputs import read_contract, read_labels, read_samples
    from export.contract.inference import infer_contract
    from export.exporter import Checks, export_model
    from export.formats.obstacles import check_graph_names
    from export.proof.evaluation import Quantization, read_evaluation

    progress = console.progress
    choose_path(out.absolute(), options["if_exists"])  # before the model is loaded
    if sign:
        signature.check_key(sign)
    real_inputs = read_samples(samples) if samples else None
    names = read_labels(labels) if labels else None
    loaded = read_model(file)
    check_graph_names(loaded)
    chosen = formats if formats == "all" else tuple(formats.split(",")) if formats else DEFAULT_FORMATS
    contract = read_contract(contract_file, loaded) if contract_file else infer_contract(loaded, real_inputs)
    guessed = () if contract_file or not progress else [t for e in contract.endpoints for t in e.inputs]
    for tensor in (t for t in guessed if t.meaning == "image"):
        if tensor.name not in (real_inputs or {}):
            ranges = " and ".join(
                f"from {low:g} to {high:g}" for low, high in tensor.ranges or [(tensor.low, tensor.high)]
            )
            progress(
                f"input {tensor.name}: assumed to be pixels {ranges}; --samples changes the range, --contract states it"
            )
    quantization = Quantization(
        tuple(quantize.split(",")) if quantize else (),
        read_samples(calibration) if calibration else None,
        read_evaluation(read_samples(evaluation), contract.endpoints[0]) if evaluation else None,
        **{name: options.pop(name) for name in ("max_drop", "keep_float")},
    )
    options |= {"samples": real_inputs, "formats": chosen, "labels": names, "quantization": quantization}
    options["checks"] = Checks(**{name: options.pop(name) for name in ("require", "extras")})
    try:
        bundle = export_model(loaded, out, contract=contract, progress=progress, **options)
    except ExportFailed as failure:
        show_certificate(failure.certificate, console)
        raise
    if sign:
        signature.sign(bundle.path, sign)
    show_certificate(bundle.certificate, console)
    if not console.json:
        echo(f"{bundle.path}: {bundle.certificate.verdict}. Next: python -m export verify {bundle.path}")
