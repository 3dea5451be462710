"""Export a model: write every format, prove it, and publish the bundle only if the proof passes."""

import datetime
import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, Self

import numpy as np

from export.bundle import layout, tf_serving
from export.bundle.card import DOCUMENTS, FIGURES, copy_images, documents_of
from export.bundle.layout import Bundle, choose_path, choose_saved_model_version, publish_bundle, withhold, write_assets
from export.bundle.npu import with_npu_report
from export.contract import Artifact, Contract, check_exportable, statistics, with_labels
from export.contract.inference import infer_contract
from export.formats import (
    DEFAULT_FORMATS,
    FORMATS,
    QUANTIZATIONS,
    format_of,
    remove_scratch,
    saved_model,
    tflite,
    with_formats,
)
from export.formats.keras import merged_weights
from export.formats.obstacles import check_graph_names, code_dependency, unimportable
from export.parity.cases import write_golden
from export.parity.golden import cases_for, check_samples
from export.parity.rest_requests import write_requests
from export.proof.certificate import FAIL, PASS, RESERVED, UNSUPPORTED, Certificate, ProofRequest
from export.proof.coverage import Coverage
from export.proof.evaluation import Quantization, run_live, with_simulation
from export.proof.layer_diff import with_worst_layers, write_layers
from export.proof.prove import check_names, prove
from export.proof.reference import run_reference
from export.protocol import weight_sums
from export.protocol.calls import one_line
from export.runtime import process
from export.runtime.backend import load_tensorflow, quiet_logger
from zoobase.console import finite, quiet_stderr
from zoobase.errors import ExportError, ExportFailed, Unsupported
from zoobase.files import check_space, full_disk, is_full, staging, without_folders

NOT_QUANTIZED = Quantization()
FACTS = ("title", "description", "licence", "data", "intervals", "command", "notes", "code", "input_mistakes")


@dataclass(frozen=True)
class Checks:
    """What the proof of an export has besides the runs that every bundle has.

    Attributes:
        require: Runtimes and formats without which the proof is incomplete.
        extras: Runtimes that run only on request and decide nothing: run where they are installed.
        training: Inputs (N, ...) by name from the training data, at least 50: the SavedModel gets statistics of them,
            with which requests are compared.
        validation: As `training`, of rows that the model was not trained on, for statistics of its answers, which are
            surer for rows that it was trained on.
    """

    require: Sequence[str] = ()
    extras: Sequence[str] = ()
    training: Mapping[str, np.ndarray] | None = None
    validation: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Documents:
    """What a bundle says and holds besides its artifacts.

    Attributes:
        card: Optional title, description, licence, data, metrics, intervals of 95 % (metric: [low, high]), command,
            notes, images (paths of PNG files), code ({heading: Python}).
        assets: Additional files of the bundle, {name: bytes or path}: data, as their names say, such as "words.txt".
        metadata: JSON-serializable values for the manifest.
    """

    card: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, bytes | str | os.PathLike[str]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportRequest:
    """The arguments of `export_model`, whose signature is made of these fields."""

    model: Any
    out: str | os.PathLike[str]
    _: KW_ONLY
    contract: Contract | None = None
    samples: Mapping[str, np.ndarray] | None = None
    labels: Sequence[str] | None = None
    formats: Sequence[str] | str = DEFAULT_FORMATS
    version: int | str = 1
    if_exists: str = "error"
    documents: Documents = Documents()
    quantization: Quantization = NOT_QUANTIZED
    checks: Checks = Checks()
    progress: Callable[[str], None] | None = None

    def checked(self) -> Self:
        """Return the request with its formats and its contract; ExportError for arguments that are inconsistent."""
        formats = tuple(FORMATS) if self.formats == "all" else tuple(self.formats)
        check_names(formats, tuple(FORMATS), "format")
        check_graph_names(self.model)
        contract = self.contract or infer_contract(self.model, self.samples)
        contract = with_formats(with_labels(contract, self.labels))
        check_exportable(contract)
        for rows in (self.samples, self.checks.training, self.checks.validation):
            check_samples(rows or {}, contract.endpoints)
        self.quantization.check(contract, (*self.checks.require, *self.checks.extras))
        return replace(self, contract=contract, formats=formats, progress=self.progress or (lambda text: None))


Arguments = ParamSpec("Arguments")


def _with_arguments_of(
    request: Callable[Arguments, ExportRequest],
) -> Callable[[Callable[[ExportRequest], Bundle]], Callable[Arguments, Bundle]]:
    """Give a function of a request the signature of the request."""

    def decorate(function: Callable[[ExportRequest], Bundle]) -> Callable[Arguments, Bundle]:
        @functools.wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Bundle:
            return function(request(*args, **kwargs))

        call.__signature__ = inspect.signature(request).replace(return_annotation="Bundle")
        return call

    return decorate


@_with_arguments_of(ExportRequest)
def export_model(request: ExportRequest) -> Bundle:  # noqa: D417 - its arguments are those of the request
    """Export any Keras model to every format, prove each in a fresh process, and publish the bundle.

    Args:
        model: A built Keras 3 model.
        out: The folder of the bundle; it must not exist.
        contract: Endpoints with their tensors; None infers them from the model.
        samples: Real examples (N, ...) by input name, used in golden inputs.
        labels: Class names in the order of the outputs, unless the contract has them.
        formats: Formats to write, or "all". Formats other than the default are requested by name: one that cannot
            represent the model is then a failure.
        version: The version folder of the SavedModel: a positive int64, "time" (seconds since 1970), or "next" (one
            more than in the existing bundles OUT, OUT-2, ...).
        if_exists: What to do if `out` exists: "error"; "new-version" keeps it and creates OUT-2, OUT-3, ...;
            "replace" replaces it, if it is a bundle, once the new one is proven.
        documents: Card, additional files and metadata of the bundle: `export.Documents`.
        quantization: Quantised files to write too, their data and their budget: `export.Quantization`.
        checks: Runtimes and comparisons that are asked for besides the usual ones: `export.Checks`.
        progress: Called with a short description of each stage.

    Raises:
        ExportError: If the arguments are inconsistent, samples are not finite or of unknown inputs, or `out` exists.
        ExportFailed: If the proof fails; the bundle is kept beside `out` with a suffix.

    Example:
        See examples/export_any_keras_model.py.
    """
    load_tensorflow()
    out = Path(request.out).absolute()
    version, target = choose_saved_model_version(out, request.version), choose_path(out, request.if_exists)
    return _export(request.checked(), target, version, lambda folder: publish_bundle(folder, out, request.if_exists))


def _export(request: ExportRequest, target: Path, version: int, publish: Callable[[Path], Path]) -> Bundle:
    """Stage, prove and publish a bundle; keep a failed one beside its target."""
    with full_disk(target.parent), staging(target.parent, f".{target.name}.staging-") as folder:
        with quiet_logger():
            certificate, manifest = _write_and_prove(request, folder, version)
        if certificate.verdict == FAIL:
            check_space(folder)  # a converter in a process of its own, or C++, may have met the end of it
        manifest |= {"name": target.name}
        manifest["card"]["images"] = copy_images(folder, request.documents.card.get("images", ()))
        layout.write_json(folder / layout.PARITY, certificate.to_json())
        read = Certificate.from_json(layout.read_certificate(folder))  # as `verify` will
        for name, text in documents_of(folder, json.loads(json.dumps(manifest)), read).items():
            layout.write_text(folder / name, text)
        manifest = layout.seal(folder, manifest)
        if certificate.verdict in (PASS, RESERVED):
            request.progress(f"publishing {target}")
            return Bundle(publish(folder), manifest, request.contract, certificate)
        suffix = "failed" if certificate.verdict == FAIL else "incomplete"
        path = layout.publish_marked(folder, target, suffix)
    raise ExportFailed(f"not published: {certificate.problems()[0]}; kept as {path}", path, certificate)


def _write_and_prove(request: ExportRequest, folder: Path, version: int) -> tuple[Certificate, dict[str, Any]]:
    """Write all files to the staging folder; return the certificate and the manifest without its hashes."""
    contract, checks, documents, progress = request.contract, request.checks, request.documents, request.progress
    process.start_fork_server()
    progress("running the live model on golden inputs")
    typical = request.quantization.typical(request.samples)
    cases = {endpoint.name: cases_for(endpoint, request.samples, typical) for endpoint in contract.endpoints}
    coverage = Coverage(request.model)
    with coverage.observer.observing(contract) as observed, quiet_stderr():
        for name, more in coverage.search(observed, cases).items():
            cases[name] += more
        live = run_reference(observed, cases, request.model.weights)
    write_golden(folder / "golden", cases)
    write_requests(folder / "golden", contract, cases)
    write_layers(folder / "golden", request.model, contract, cases)
    weights = ((weight.path, np.asarray(weight.value)) for weight in request.model.weights)
    weight_sums.write(folder / "golden", weights, merged_weights(request.model))
    dependency, obstacle = code_dependency(request.model), unimportable(request.model)
    artifacts = []
    for format in request.formats:
        progress(f"writing {format}")
        of_code = obstacle if FORMATS[format].needs_code else None
        artifacts.append(_write(request, folder, format, version, of_code))
    for artifact in artifacts:
        if artifact.format == saved_model.FORMAT.name and artifact.state is None:
            tf_serving.write_warmup(folder / artifact.path, contract.carried_by(artifact.format), cases)
            if checks.training:
                first = contract.endpoints[0]
                unseen = {n: v[: len(v) - len(v) % (first.batch or 1)] for n, v in (checks.validation or {}).items()}
                outputs = run_live(first, unseen) if any(map(len, unseen.values())) else {}
                statistics.write(folder / artifact.path, first, checks.training, outputs)
    for quantize in request.quantization.forms:
        progress(f"writing {format_of(quantize).name} {quantize}")
        artifacts.append(_write_quantized(request, folder, quantize))
    write_assets(folder, documents.assets)
    demanded = frozenset() if request.formats in (DEFAULT_FORMATS, tuple(FORMATS)) else frozenset(request.formats)
    progress("proving every artifact in fresh processes")
    subject = ProofRequest(
        *(folder, contract, artifacts, cases, dependency, live),
        probing=True,
        demanded=demanded,
        images=folder / FIGURES,
    )
    certificate = prove(subject, require=tuple(checks.require), extras=tuple(checks.extras))
    rows, simulation = certificate.rows, request.quantization.simulation
    if simulation is not None and typical is not None:
        rows = with_simulation(subject, rows, simulation, typical)
    rows = request.quantization.evaluate(subject, rows)
    rows = with_npu_report(subject, with_worst_layers(subject, rows))
    certificate = replace(
        certificate,
        rows=tuple(rows),
        coverage=coverage.summary(),
        request={"formats": list(request.formats), "quantize": list(request.quantization.forms)},
    )
    remove_scratch(folder)
    withhold(folder, artifacts, certificate)
    manifest = {
        "schema": 1,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "producer": live.report["versions"],
        "contract": contract.to_json(),
        "code_dependency": dependency,
        "artifacts": [artifact.to_json() for artifact in artifacts],
        "demanded": sorted(demanded),
        "metrics": {k: getattr(v, "item", lambda v=v: v)() for k, v in documents.card.get("metrics", {}).items()},
        "metadata": without_folders(dict(documents.metadata)),
        "card": finite(without_folders({key: documents.card[key] for key in FACTS if documents.card.get(key)})),
        "assets": sorted(documents.assets),
        "documents": DOCUMENTS,
    }
    return certificate, manifest


def _write(request: ExportRequest, folder: Path, format: str, version: int, obstacle: str | None) -> Artifact:
    """Write one format; return an artifact with the reason if it cannot be written."""

    def write() -> Artifact:
        if not request.contract.carried_by(format):
            raise Unsupported(f"no endpoint of the contract is carried by {format}")
        if obstacle:
            raise Unsupported(obstacle)
        return FORMATS[format].write(request.model, request.contract, folder, version)

    artifact = _written(write, Artifact(format, format, ()))
    for name in FORMATS[format].files if artifact.state == UNSUPPORTED else ():
        (folder / name).unlink(missing_ok=True)  # Keras leaves empty files
    return artifact


def _write_quantized(request: ExportRequest, folder: Path, quantize: str) -> Artifact:
    """Write one quantised file; return an artifact with the reason if it cannot be written."""
    settings, format = request.quantization, format_of(quantize)
    arguments = (QUANTIZATIONS[quantize], settings.calibration, settings.keep_float)
    more = {"simulation": settings.simulation} if quantize == tflite.SIMULATED else {}
    return _written(
        lambda: format.write_quantized(request.model, request.contract, folder, *arguments, **more),
        Artifact(format.name, f"{format.name}/{quantize}{format.extension}", (), quantize=quantize),
    )


def _written(write: Callable[[], Artifact], absent: Artifact) -> Artifact:
    """Return the artifact that a writer returns, or `absent` with the reason."""
    try:
        return write()
    except Unsupported as error:
        return replace(absent, state=UNSUPPORTED, reason=str(error))
    except ExportError:
        raise
    except Exception as error:  # any error of a writer but a full disk becomes a failed row
        if is_full(error):
            raise
        return replace(absent, state=FAIL, reason=f"cannot be written: {one_line(error)}")
