"""Export a model: write every format, prove it, and publish the bundle only if it holds."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import layout, serving
from export.bundle.card import FIGURES, write_card
from export.bundle.layout import Bundle, choose_path, next_to, put, withhold, write_assets
from export.contract import FORMATS, KERAS_FORMATS, Contract
from export.contract.artifact import Artifact
from export.contract.inference import infer_contract
from export.errors import ExportError, ExportFailed, Unsupported
from export.formats import DEFAULT_FORMATS, onnx, tflite, writer
from export.formats.custom_code import code_dependency
from export.parity.golden import cases_for, write_golden
from export.parity.rest_requests import write_requests
from export.proof.bisect import explain as explain_by_bisection
from export.proof.certificate import FAIL, PASS, UNSUPPORTED, Certificate
from export.proof.evaluation import Evaluation, Quantisation
from export.proof.layer_diff import write_layers
from export.proof.prove import Subject, check_names, prove
from export.proof.reference import run_reference
from export.runners.lib.calls import one_line
from export.runtime.backend import load_tensorflow


def export_model(
    model: Any,
    out: str | os.PathLike[str],
    *,
    contract: Contract | None = None,
    samples: Mapping[str, np.ndarray] | None = None,
    formats: Sequence[str] | str = DEFAULT_FORMATS,
    card: Mapping[str, Any] | None = None,
    assets: Mapping[str, bytes | str | os.PathLike[str]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    require: Sequence[str] = (),
    version: int | str = 1,
    if_exists: str = "error",
    quantize: Sequence[str] = (),
    calibration: Mapping[str, np.ndarray] | None = None,
    evaluation: Evaluation | None = None,
    max_drop: float = 0.01,
    bisect: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Export any Keras model to every format, prove each in a fresh process, and publish the bundle.

    Args:
        model: A built Keras 3 model.
        out: The folder that the bundle will be; it must not exist.
        contract: What the artifacts promise; None reads it off the model.
        samples: Real examples (N, ...) by input name, used in golden inputs.
        formats: What to write, or "all". Any other list asks for its formats by name: one
            that cannot carry the model is then a failure.
        card: Optional title, description, licence, data, metrics, command, notes, images (paths of PNG files), code
            ({heading: Python}).
        assets: More files of the bundle, {name: bytes or path}.
        metadata: JSON-able, kept in the manifest.
        require: Runtimes and formats without which the proof is incomplete.
        version: The version folder of the SavedModel: a positive int64, "time" (seconds since 1970), or "next" (one
            more than in the bundles OUT, OUT-2, ... that are there).
        if_exists: What to do if `out` is there: "error"; "new-version" leaves it and makes OUT-2, OUT-3, ...;
            "replace" exchanges it, if it is a bundle, for the new one once that is proven.
        quantize: Coarser TFLite files to write too: "float16", "dynamic", "int8". Each must stay in its budget.
        calibration: Real inputs (N, ...) by name from the training data, at least 100 for int8.
        evaluation: Real data with its truth, on which the drop of quantised files is measured.
        max_drop: How much of the metric they may lose.
        bisect: Whether to find the first layer that a failed TFLite file gets wrong; takes a conversion for each try.
        progress: Told of each stage in a few words.

    Raises:
        ExportError: If the arguments do not fit together, or `out` exists.
        ExportFailed: If the proof does not hold; the bundle is kept beside `out`, marked.
    """
    load_tensorflow()
    formats = FORMATS if formats == "all" else tuple(formats)
    check_names(formats, FORMATS, "format")
    out = Path(out).absolute()
    number = next_to(out, version)
    place = choose_path(out, if_exists)
    contract = contract or infer_contract(model, samples)
    _check_contract(contract, formats)
    coarser = Quantisation(tuple(quantize), calibration, evaluation, max_drop)
    coarser.check(contract)
    told = (card or {}, assets or {}, metadata or {})
    order = _Order(model, contract, samples, formats, *told, tuple(require), coarser, bisect)
    tell = progress or (lambda text: None)
    return _export(order, place, number, lambda folder: put(folder, out, if_exists), tell)


@dataclass(frozen=True)
class _Order:
    """What `export_model` was asked for."""

    model: Any
    contract: Contract
    samples: Mapping[str, np.ndarray] | None
    formats: tuple[str, ...]
    card: Mapping[str, Any]
    assets: Mapping[str, Any]
    metadata: Mapping[str, Any]
    require: tuple[str, ...]
    quantisation: Quantisation
    bisect: bool


def _export(
    order: _Order, target: Path, version: int, put: Callable[[Path], Path], tell: Callable[[str], None]
) -> Bundle:
    """Stage, prove and publish; or keep what failed beside its place."""
    folder = layout.stage(target)
    try:
        certificate, manifest = _write_and_prove(order, folder, version, tell)
        layout.write_json(folder / layout.PARITY, certificate.to_json())
        if (folder / "saved_model").is_dir():
            (folder / serving.CONFIG).write_text(serving.models_config(target.name))
        write_card(folder, order.contract, certificate, manifest, order.card, target.name)
        manifest = layout.seal(folder, manifest)
        if certificate.verdict == PASS:
            tell(f"publishing {target}")
            return Bundle(put(folder), manifest, order.contract, certificate)
        mark = "failed" if certificate.verdict == FAIL else "incomplete"
        kept = layout.publish_marked(folder, target, mark)
    except BaseException:
        layout.discard(folder)
        raise
    raise ExportFailed(f"not published: {certificate.problems()[0]}; kept as {kept}", kept, certificate)


def _check_contract(contract: Contract, formats: Sequence[str]) -> None:
    if not contract.endpoints:
        raise ExportError("the contract has no endpoint; give at least one")
    for endpoint in contract.endpoints:
        if endpoint.call is None:
            raise ExportError(
                f"endpoint {endpoint.name} has no call; a contract read from disk cannot be exported again"
            )
    heads = [t for e in contract.endpoints for t in e.outputs if t.meaning in ("logits", "probabilities")]
    sizes = {t.shape[-1] for t in heads if t.shape[-1] is not None}
    if contract.labels is not None and sizes and len(contract.labels) not in sizes:
        raise ExportError(f"{len(contract.labels)} labels for an output of {min(sizes)} classes; give one for each")


def _write_and_prove(
    order: _Order, folder: Path, version: int, tell: Callable[[str], None]
) -> tuple[Certificate, dict[str, Any]]:
    """Fill the staging folder; return the certificate and the manifest without its hashes."""
    contract = order.contract
    tell("running the live model on golden inputs")
    typical = order.quantisation.typical(order.samples)
    cases = {endpoint.name: cases_for(endpoint, order.samples, typical) for endpoint in contract.endpoints}
    live = run_reference(contract, cases)
    write_golden(folder / "golden", cases)
    write_requests(folder / "golden", contract, cases)
    write_layers(folder / "golden", order.model, contract, cases)
    dependency = code_dependency(order.model)
    artifacts = []
    for format in order.formats:
        tell(f"writing {format}")
        artifacts.append(_write(order, folder, format, version, dependency))
    for artifact in artifacts:
        if artifact.format == "saved_model" and artifact.state is None:
            serving.write_warmup(folder / artifact.path, contract.carried_by("saved_model"), cases)
    for quantize in order.quantisation.kinds:
        tell(f"writing tflite {quantize}")
        artifacts.append(_write_quantised(order, folder, quantize))
    write_assets(folder, contract, order.assets)
    demanded = frozenset() if order.formats in (DEFAULT_FORMATS, FORMATS) else frozenset(order.formats)
    tell("proving every artifact in fresh processes")
    subject = Subject(
        *(folder, contract, artifacts, cases, dependency, live),
        probing=True,
        demanded=demanded,
        pictures=folder / FIGURES,
    )
    certificate = prove(subject, require=order.require)
    coarser = order.quantisation
    coarser.judge(subject, certificate)
    if order.bisect:
        explain_by_bisection(*(order.model, contract, cases), artifacts, certificate.artifacts, coarser.calibration)
    tflite.clean(folder)
    shutil.rmtree(folder / onnx.WORK, ignore_errors=True)
    withhold(folder, artifacts, certificate)
    manifest = {
        "schema": 1,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "producer": live.report["versions"],
        "contract": contract.to_json(),
        "code_dependency": dependency,
        "artifacts": [artifact.to_json() for artifact in artifacts],
        "demanded": sorted(demanded),
        "metrics": {k: getattr(v, "item", lambda v=v: v)() for k, v in order.card.get("metrics", {}).items()},
        "metadata": dict(order.metadata),
    }
    return certificate, manifest


def _write(order: _Order, folder: Path, format: str, version: int, dependency: Mapping[str, Any] | None) -> Artifact:
    """Write one format; what cannot be is an artifact that says why."""
    try:
        if not order.contract.carried_by(format):
            raise Unsupported(f"no endpoint of the contract is carried by {format}")
        if dependency and "__main__" in dependency["modules"] and format in KERAS_FORMATS:
            raise Unsupported("a class of the model is defined in __main__, where no other process finds it")
        return writer(format)(order.model, order.contract, folder, version)
    except Unsupported as error:
        for path in layout.partial_files(folder, format):
            path.unlink()
        return Artifact(format, format, (), state=UNSUPPORTED, reason=str(error))
    except ExportError:
        raise
    except Exception as error:  # whatever a writer raises is a failed row that names it
        return Artifact(format, format, (), state=FAIL, reason=f"cannot be written: {one_line(error)}")


def _write_quantised(order: _Order, folder: Path, quantize: str) -> Artifact:
    """Write one TFLite file of lower precision; what cannot be is an artifact that says why."""
    path = f"tflite/{quantize}.tflite"
    try:
        return tflite.write_quantised(order.model, order.contract, folder, quantize, order.quantisation.calibration)
    except Unsupported as error:
        return Artifact("tflite", path, (), state=UNSUPPORTED, reason=str(error), quantize=quantize)
    except ExportError:
        raise
    except Exception as error:
        reason = f"cannot be written: {one_line(error)}"
        return Artifact("tflite", path, (), state=FAIL, reason=reason, quantize=quantize)
