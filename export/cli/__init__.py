"""One file per verb of `python -m export`, each with its `command`; shared code is here."""

from __future__ import annotations

from typing import Any

from zoobase import Console


def show_certificate(certificate: Any, console: Console) -> None:
    """Print a certificate as JSON or as a table."""
    console.result(certificate.to_json())
    if not console.json and not console.quiet:
        from export.cli.tables import print_certificate

        print_certificate(certificate)
