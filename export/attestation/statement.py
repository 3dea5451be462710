"""The in-toto statements of a bundle: what its proof showed, the test result, the provenance and the bill of materials.

Reference: https://github.com/in-toto/attestation/tree/main/spec. `predicate.schema.json` describes our own predicate.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.attestation import bom
from export.bundle import layout
from export.formats.format import NATIVE
from export.formats.saved_model import FORMAT as SAVED_MODEL
from export.proof.certificate import FAIL, NOT_RUN, PASS, UNSUPPORTED, Certificate, Row
from export.proof.structure import RUNTIME as STRUCTURE
from zoobase import finite
from zoobase.errors import CheckFailed, Unavailable
from zoobase.files import sha256
from zoobase.requirements import install_command

STATEMENT = "https://in-toto.io/Statement/v1"
CERTIFICATE = "https://keras-proof-zoo.invalid/attestation/certificate/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BOM = "https://cyclonedx.org/bom"
SCHEMA = Path(__file__).with_name("predicate.schema.json")
RESULTS = {PASS: "PASSED", FAIL: "FAILED"}  # of a verdict; any other is WARNED


def statements_of(bundle: Path, verification: Certificate | None = None) -> list[bytes]:
    """Return the encoded statements of a bundle, that of the certificate first."""
    # That one has the digests of the others, so that none can be left out or exchanged. A verification is stated in
    # place of `parity.json`: it compares the SavedModel as a whole, too.
    if damage := layout.find_damage(bundle):
        raise CheckFailed(f"{bundle} is damaged ({damage[0]}); export it again")
    manifest, certificate = layout.read_manifest(bundle), layout.read_certificate(bundle)
    if verification is not None:
        certificate = json.loads(json.dumps(verification.to_json()))
    subjects = digests_of(bundle)
    others = {TEST_RESULT: _test_result(certificate, subjects), BOM: bom.to_json(bundle.resolve().name, manifest)}
    if provenance := manifest.get("metadata", {}).get("provenance"):
        others[PROVENANCE] = provenance
    encoded = {kind: encode(subjects, kind, predicate) for kind, predicate in others.items()}
    digests = {kind: hashlib.sha256(payload).hexdigest() for kind, payload in encoded.items()}
    predicate = describe(manifest, certificate, subjects) | {"statements": digests}
    return [encode(subjects, CERTIFICATE, predicate), *encoded.values()]


def digests_of(target: Path) -> dict[str, str]:
    """Return {path: sha256} of every file of a folder, or of a file."""
    if target.is_file():
        return {target.name: sha256(target)}
    return {name: sha256(target / name) for name in layout.files_of(target)}


def encode(subjects: Mapping[str, str], kind: str, predicate: Mapping[str, Any]) -> bytes:
    """Return a statement as JSON of one spelling, which the library of in-toto has validated."""
    try:
        from google.protobuf import json_format
        from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
        from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
        from in_toto_attestation.v1.statement import Statement
        from in_toto_attestation.v1.statement_pb2 import Statement as Message
    except ImportError as error:
        raise Unavailable(f"statements need in-toto-attestation ({error}); {install_command('attestation')}") from error
    content = {
        "_type": STATEMENT,
        "subject": _descriptors(subjects),
        "predicateType": kind,
        "predicate": finite(predicate),
    }
    Statement.copy_from_pb(json_format.ParseDict(content, Message())).validate()
    if kind in (TEST_RESULT, PROVENANCE):
        json_format.ParseDict(content["predicate"], {TEST_RESULT: TestResult, PROVENANCE: Provenance}[kind]())
    return canonical(content)


def canonical(value: Any) -> bytes:
    """Return JSON in the one spelling that is signed and hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _descriptors(digests: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()]


def _test_result(certificate: Mapping[str, Any], subjects: Mapping[str, str]) -> dict[str, Any]:
    """Return the Test Result predicate: a test is an artifact in a runtime."""
    rows = Certificate.from_json(dict(certificate)).rows

    def names(states: Sequence[str]) -> list[str]:
        return sorted({row.place for row in rows if row.state in states})

    return {
        "result": RESULTS.get(certificate["verdict"], "WARNED"),
        "configuration": _descriptors({layout.PARITY: subjects[layout.PARITY]}),
        "passedTests": names([PASS]),
        "warnedTests": names([NOT_RUN, UNSUPPORTED]),
        "failedTests": names([FAIL]),
    }


def describe(
    manifest: Mapping[str, Any], certificate: Mapping[str, Any], subjects: Mapping[str, str]
) -> dict[str, Any]:
    """Return our predicate: from the digest of the Keras file to that of each converted file, and what was shown."""
    parsed = Certificate.from_json(dict(certificate))
    metadata, environment = manifest.get("metadata", {}), certificate["environment"]
    source = next((a["path"] for a in manifest["artifacts"] if a["format"] == NATIVE and a["state"] is None), None)
    origin = _descriptors({source: subjects[source]})[0] if source else None
    conversions = []
    for artifact in manifest["artifacts"]:
        path = artifact["path"]
        files = {name: d for name, d in subjects.items() if name == path or name.startswith(f"{path}/")}
        conversions.append(
            {
                "artifact": path,
                "format": artifact["format"],
                "quantize": artifact.get("quantize"),
                "withheld": artifact["state"] and f"{artifact['state']}: {artifact.get('reason')}",
                "from": None if path == source else origin,
                "files": _descriptors(files),
                "runs": [_run(row) for row in parsed.rows if row.artifact == path],
            }
        )
    structure = [row.state for row in parsed.rows if row.runtime == STRUCTURE and row.format == SAVED_MODEL.name]
    is_confined = bool((environment.get("confinement") or {}).get("landlock"))
    return {
        "verdict": certificate["verdict"],
        "certificate": _descriptors({layout.PARITY: subjects[layout.PARITY]})[0],
        "created": manifest["created"],
        "producer": manifest["producer"],
        "reference": origin,
        "conversions": conversions,
        "policy": certificate["policy"],
        "noise_floor": certificate["noise_floor"],
        "coverage": certificate.get("coverage") or {},
        "examples": certificate.get("examples") or {},
        "structure": structure[0] if structure else None,
        "reservations": sorted({kind for row in parsed.rows if row.state == PASS for kind in row.reservations}),
        "environment": environment,
        "confined": is_confined and not any(row.artifact == "processes" for row in parsed.rows),
        "metrics": manifest.get("metrics") or {},
        "licence": metadata.get("licence"),
        "data": [d for d in bom.dependencies_of(manifest) if d.get("annotations", {}).get("role") == "data"],
    }


def _run(row: Row) -> dict[str, Any]:
    """Return what is stated of an artifact in a runtime."""
    return {
        "runtime": row.runtime,
        "versions": row.versions,
        "state": row.state,
        "reason": row.reason,
        "decides": row.required or row.demanded or row.state in (FAIL, UNSUPPORTED),
        "outputs": {
            endpoint: {
                name: {"max_error": f["max_error"], "tolerance": f["tolerance"]} for name, f in e["outputs"].items()
            }
            for endpoint, e in row.endpoints.items()
            if "outputs" in e
        },
        "quantized": {
            endpoint: {"outputs": e["quantised"], "budget": e["budget"]}
            for endpoint, e in row.endpoints.items()
            if "quantised" in e
        },
        "metric": {endpoint: e["evaluation"] for endpoint, e in row.endpoints.items() if "evaluation" in e},
        "weights": row.weights and {key: row.weights[key] for key in ("matched", "of")},
        "reservations": row.reservations,
    }
