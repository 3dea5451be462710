"""Signatures of bundles, by the package `model-signing`: they find malice where checksums find damage.

The signature lies beside the bundle, in BUNDLE.sig, in the Sigstore bundle format, and covers every file by its hash.
Source: https://github.com/sigstore/model-transparency
"""

from pathlib import Path
from typing import Any

from zoobase.errors import ExportError, Unavailable
from zoobase.files import check_present
from zoobase.requirements import install_command


def signature_of(bundle: Path) -> Path:
    """Return the path of the signature of a bundle."""
    folder = bundle.absolute()
    return folder.with_name(f"{folder.name}.sig")


def check_key(key: Path) -> None:
    """Raise Unavailable unless a key file and the package that reads it are there."""
    check_present(key)
    _modules()


def sign(bundle: Path, key: Path) -> Path:
    """Sign a bundle by an elliptic-curve private key (PEM), and return the path of its signature."""
    check_key(key)
    signing, _ = _modules()
    path = signature_of(bundle)
    try:
        signing.Config().use_elliptic_key_signer(private_key=key).sign(bundle, path)
    except Exception as error:  # the library passes on what its own libraries raise
        raise ExportError(f"cannot sign {bundle} with {key}: {_text(error)}") from error
    return path


def find_forgery(bundle: Path, key: Path) -> str | None:
    """Return why a bundle is not what the owner of a public key (PEM) signed, or None."""
    check_key(key)
    _, verifying = _modules()
    path = signature_of(bundle)
    if not path.is_file():
        return f"there is no signature {path}"
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(bundle.absolute(), path)
    except Exception as error:  # a forged signature may raise anything
        return f"the signature {path} does not hold for {key}: {_text(error)}"
    return None


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _modules() -> tuple[Any, Any]:
    try:
        from model_signing import signing, verifying
    except ImportError as error:
        raise Unavailable(f"signatures need model-signing ({error}); {install_command('signing')}") from error
    return signing, verifying
