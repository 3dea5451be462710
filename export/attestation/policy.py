"""Admission: which bundles may be published or served, as a file of TOML says.

A bundle is checked by its files and its attestation; a version under a base path of TF Serving by the attestation that
was published with it.
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.attestation import envelope
from export.attestation.statement import CERTIFICATE, describe, digests_of
from export.bundle import layout
from export.formats.saved_model import FORMAT as SAVED_MODEL
from export.formats.saved_model import served_versions
from export.proof.certificate import EXIT_CODES, PASS
from zoobase.errors import CheckFailed, ExportError, unknown
from zoobase.files import check_present

EXTRA = "assets.extra"  # of a version: TF Serving reads only the warm-up records in it
RECORD = f"{EXTRA}/published.json"
VERSION_SUMS = f"{EXTRA}/{layout.SUMS}"
ATTESTATION = f"{EXTRA}/attestation{envelope.SUFFIX}"
OF_PUBLISHING = (RECORD, VERSION_SUMS, ATTESTATION)


@dataclass(frozen=True)
class Policy:
    """What a bundle must hold; a rule that the file does not name has the value here."""

    verdict: Sequence[str] = (PASS,)  # verdicts that are admitted
    # public keys (PEM), relative to the file, of which one must have signed; without, its own certificate counts
    signers: Sequence[Path] = ()
    # the upper end of the 95 % interval of the drop of each quantised file; refused where not measured; None: no limit
    max_drop: float | None = None
    # the least share of table rows, vocabulary and units that was reached; refused where not measured; None: no limit
    min_coverage: float | None = None
    reservations: Sequence[str] = ()  # kinds of reservations that are admitted
    confined: bool = True  # whether the kernel must have confined the proof
    # licences that are admitted, of the model and of its data; what states none is refused. None for all.
    licences: Sequence[str] | None = None


def read_policy(path: Path) -> Policy:
    """Return the policy in a TOML file; ExportError for an unknown rule or a value of another type."""
    check_present(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not valid TOML: {error}") from error
    names = [field.name for field in dataclasses.fields(Policy)]
    for name, value in values.items():
        if name not in names:
            raise unknown(f"rule of {path}", name, names)
        if name in ("max_drop", "min_coverage"):
            is_valid = isinstance(value, int | float) and not isinstance(value, bool)
        elif name == "confined":
            is_valid = isinstance(value, bool)
        else:
            is_valid = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not is_valid:
            raise ExportError(f"the rule {name} of {path} has the value {value!r}; the page of policies shows its type")
    if wrong := [verdict for verdict in values.get("verdict", ()) if verdict not in EXIT_CODES]:
        raise unknown(f"verdict of {path}", wrong[0], EXIT_CODES)
    return Policy(**values | {"signers": [path.parent / name for name in values.get("signers", ())]})


def admit(target: Path, policy: Policy) -> Mapping[str, Any]:
    """Return what was attested of a bundle, or of every version of a base path; CheckFailed has every broken rule."""
    if target.is_dir() and not (target / layout.MANIFEST).exists() and (versions := served_versions(target)):
        return [admit(target / name, policy) for names in versions.values() for name in names][-1]
    predicate = _predicate(target, policy)
    if problems := list(_violations(predicate, policy)):
        raise CheckFailed(f"{target} is not admitted: {'; '.join(problems)}")
    return predicate


def _predicate(target: Path, policy: Policy) -> Mapping[str, Any]:
    """Return the predicate of the certificate, once every file is what was attested."""
    if (target / RECORD).is_file():
        return _of_version(target, policy)
    if policy.signers:
        return envelope.check(target, policy.signers).predicates[CERTIFICATE]
    if damage := layout.find_damage(target):
        raise CheckFailed(f"{target} is damaged ({damage[0]}); export it again")
    return describe(layout.read_manifest(target), layout.read_certificate(target), digests_of(target))


def _of_version(folder: Path, policy: Policy) -> Mapping[str, Any]:
    if not policy.signers:
        raise CheckFailed(f"{folder} is not admitted: a published version needs signers in the policy")
    attestation = envelope.read(folder / ATTESTATION, policy.signers)
    predicate = attestation.predicates.get(CERTIFICATE)
    if predicate is None:
        raise CheckFailed(f"{folder / ATTESTATION} has no statement of a certificate")
    (path,) = [c["artifact"] for c in predicate["conversions"] if c["format"] == SAVED_MODEL.name] or [None]
    subjects = {
        name.removeprefix(f"{path}/"): digest
        for name, digest in attestation.subjects.items()
        if name.startswith(f"{path}/")
    }
    files = {name: digest for name, digest in digests_of(folder).items() if name not in OF_PUBLISHING}
    envelope.check_subjects(str(folder), subjects, files)
    return predicate


def _violations(predicate: Mapping[str, Any], policy: Policy) -> Iterator[str]:
    """Yield a clause for each rule that does not hold."""
    if predicate["verdict"] not in policy.verdict:
        yield f"its verdict is {predicate['verdict']}, not {' or '.join(policy.verdict)}"
    if kinds := sorted({*predicate["reservations"]} - {*policy.reservations}):
        yield f"it has the reservation {kinds[0]}"
    if policy.confined and not predicate["confined"]:
        yield "its proof was not confined by the kernel"
    if policy.max_drop is not None:
        yield from _drops(predicate, policy.max_drop)
    if policy.min_coverage is not None:
        share = _coverage(predicate["coverage"])
        if share is None or share < policy.min_coverage:
            said = "was not measured" if share is None else f"is {share:.3f}"
            yield f"its coverage {said}; at least {policy.min_coverage:g} is required"
    if policy.licences is not None:
        stated = {"the model": predicate["licence"]}
        stated |= {d["name"]: d.get("annotations", {}).get("licence") for d in predicate["data"]}
        for what, licence in stated.items():
            if licence not in policy.licences:
                yield f"the licence of {what} is {licence or 'not stated'}"
                break


def _drops(predicate: Mapping[str, Any], limit: float) -> Iterator[str]:
    for conversion in predicate["conversions"]:
        if conversion["quantize"] is None or conversion["withheld"]:
            continue
        drops = [drop for run in conversion["runs"] for drop in run["metric"].values()]
        if not drops:
            yield f"the metric drop of {conversion['artifact']} was not measured"
        elif (worst := max(drop["high"] for drop in drops)) > limit:
            yield f"the metric drop of {conversion['artifact']} may be {worst:.4f}; at most {limit:g} is allowed"


def _coverage(coverage: Mapping[str, Any]) -> float | None:
    """Return the smallest share that was reached, or None if nothing was measured."""
    if not coverage:
        return None
    pairs = [(f["read"], f["rows"]) for f in coverage["tables"].values()]
    pairs += [(f["read"], f["values"]) for f in coverage["vocabulary"].values()]
    pairs += [(coverage["units"]["active"], coverage["units"]["all"])]
    return min((part / whole for part, whole in pairs if whole), default=None)
