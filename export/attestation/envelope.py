"""DSSE envelopes of statements, signed and checked by `securesystemslib`: TARGET.intoto.jsonl, one on each line.

Reference: https://github.com/secure-systems-lab/dsse. A key is a PEM file, as of `export model --sign`: ECDSA, Ed25519
or RSA. Envelopes without a key, by an identity of OpenID (Sigstore), are bundles of the library `sigstore`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.attestation.statement import CERTIFICATE, SCHEMA, STATEMENT, digests_of
from export.bundle.layout import check_schema
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.files import check_present, write_atomic
from zoobase.requirements import install_command

PAYLOAD = "application/vnd.in-toto+json"
SUFFIX = ".intoto.jsonl"


@dataclass(frozen=True)
class Attestation:
    """Statements whose signatures hold."""

    subjects: Mapping[str, str]  # {path: sha256}, the same in each
    predicates: Mapping[str, Mapping[str, Any]]  # by type
    signer: Path  # the public key that all are signed with


def envelopes_of(target: Path) -> Path:
    """Return the path of the envelopes of a bundle.

    Example:
        >>> envelopes_of(Path("out/mine")).name
        'mine.intoto.jsonl'
    """
    path = target.absolute()
    return path.with_name(path.name + SUFFIX)


def sign(target: Path, payloads: Iterable[bytes], key: Path) -> Path:
    """Sign statements with a private key, write them beside their subject, and return the path."""
    check_present(key)
    dsse, signers, serialization = _libraries()
    try:
        signer = signers.CryptoSigner(serialization.load_pem_private_key(key.read_bytes(), None))
    except (ValueError, TypeError) as error:
        raise ExportError(f"{key} is not a private key in PEM without a password: {error}") from error
    lines = []
    for payload in payloads:
        envelope = dsse.Envelope(payload, PAYLOAD, {})
        envelope.sign(signer)
        lines.append(json.dumps(envelope.to_dict()) + "\n")
    path = envelopes_of(target)
    write_atomic(path, "".join(lines))
    return path


def sign_keyless(target: Path, payloads: Iterable[bytes]) -> Path:
    """Sign statements by the identity of this environment (CI) at the public Sigstore, and return the path."""
    try:
        from sigstore.dsse import Statement
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken, detect_credential
        from sigstore.sign import SigningContext
    except ImportError as error:
        raise Unavailable(f"keyless signing needs sigstore ({error}); {install_command('attestation')}") from error
    token = detect_credential()
    if token is None:
        raise Unavailable("not run: keyless signing needs an identity of OpenID, which CI services give; use --key KEY")
    try:
        context = SigningContext.from_trust_config(ClientTrustConfig.production())
        with context.signer(IdentityToken(token)) as signer:
            lines = [signer.sign_dsse(Statement(payload)).to_json() + "\n" for payload in payloads]
    except Exception as error:  # of the network, of Fulcio, of Rekor
        raise Unavailable(f"not run: Sigstore is not reached ({' '.join(str(error).split())[:200]})") from error
    path = envelopes_of(target).with_suffix(".sigstore.jsonl")
    write_atomic(path, "".join(lines))
    return path


def read(path: Path, signers: Sequence[Path]) -> Attestation:
    """Return the statements of a file of envelopes; all must be signed by one of some keys."""
    if not path.is_file():
        raise CheckFailed(f"there is no attestation {path}; python -m export attest writes it")
    problems = []
    for signer in signers:
        try:
            return _read(path, signer)
        except CheckFailed as error:
            problems.append(error)
    if not problems:
        raise ExportError(f"no key is given that {path} could be signed with")
    raise problems[0] if len(problems) == 1 else CheckFailed(f"{path} holds for none of {len(problems)} keys")


def _read(path: Path, signer: Path) -> Attestation:
    check_present(signer)
    dsse, signers, serialization = _libraries()
    try:
        key = signers.SSlibKey.from_crypto(serialization.load_pem_public_key(signer.read_bytes()))
    except ValueError as error:
        raise ExportError(f"{signer} is not a public key in PEM: {error}") from error
    digests, statements = {}, {}
    try:
        *lines, end = path.read_bytes().decode("ascii").split("\n")
        for line in lines:
            envelope = dsse.Envelope.from_dict(json.loads(line))
            envelope.verify([key], 1)
            # one spelling only: Base64 and JSON have several for the same bytes
            if end or json.dumps(envelope.to_dict()) != line or envelope.payload_type != PAYLOAD:
                raise ValueError("an envelope is not spelled as it was signed")
            statement = json.loads(envelope.payload)
            kind = statement["predicateType"]
            if statement["_type"] != STATEMENT or kind in statements:
                raise ValueError("it holds other statements than were signed")
            statements[kind] = statement
            digests[kind] = hashlib.sha256(envelope.payload).hexdigest()
    except Exception as error:  # a forged file may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckFailed(f"{path} does not hold for {signer}: {reason}") from error
    first = next(iter(statements.values()), None)
    if first is None or any(statement["subject"] != first["subject"] for statement in statements.values()):
        raise CheckFailed(f"{path} does not hold for {signer}: its statements have no common subjects")
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in first["subject"]}
    if CERTIFICATE in statements:
        predicate = statements[CERTIFICATE]["predicate"]
        check_schema(path, "the predicate", predicate, SCHEMA)
        if {kind: digest for kind, digest in digests.items() if kind != CERTIFICATE} != predicate["statements"]:
            raise CheckFailed(f"{path} does not hold for {signer}: a statement is missing or of another bundle")
    return Attestation(subjects, {kind: s["predicate"] for kind, s in statements.items()}, signer)


def check(target: Path, signers: Sequence[Path]) -> Attestation:
    """Return the attestation of a bundle whose every byte is what was signed."""
    attestation = read(envelopes_of(target), signers)
    if CERTIFICATE not in attestation.predicates:
        raise CheckFailed(f"{envelopes_of(target)} has no statement of the type {CERTIFICATE}")
    check_subjects(str(target), attestation.subjects, digests_of(target))
    return attestation


def check_subjects(name: str, subjects: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Raise CheckFailed unless files are what was signed, no more and no less."""
    for path in sorted({*subjects, *digests}):
        if subjects.get(path) != digests.get(path):
            what = "was added" if path not in subjects else "is missing" if path not in digests else "was changed"
            raise CheckFailed(f"{name} is not what was signed: {path} {what}")


def _libraries() -> tuple[Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from securesystemslib import dsse, signer
    except ImportError as error:
        raise Unavailable(f"envelopes need securesystemslib ({error}); {install_command('attestation')}") from error
    return dsse, signer, serialization
