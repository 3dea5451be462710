"""python -m export attest, bom, admit, webhook and log: the certificate as statements that others can check."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import click

from export.cli import PATH, show
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.errors import CheckFailed

SIGNERS = click.option("--signer", "signers", multiple=True, type=PATH, metavar="KEY", help="Public key (PEM).")


@click.command("attest")
@click.argument("bundle", type=PATH)
@click.option("--key", type=PATH, metavar="KEY", help="Sign with this private key (PEM).")
@click.option("--keyless", is_flag=True, help="Sign with the OpenID identity of this CI job, at the public Sigstore.")
@click.option("--verify", is_flag=True, help="State what a verification finds now, structure too, not parity.json.")
@common_options
def attest_command(bundle: Path, key: Path | None, keyless: bool, verify: bool, console: Console) -> None:
    """Write what the proof of BUNDLE showed as signed in-toto statements, to BUNDLE.intoto.jsonl."""
    from export.attestation import envelope
    from export.attestation.statement import statements_of

    if (key is None) != keyless:
        raise click.UsageError("Give either --key KEY or --keyless.")
    verification = None
    if verify:
        from export.verifier import verify_bundle

        verification = verify_bundle(bundle)
        if verification.exit_code:
            raise CheckFailed(f"{bundle}: {verification.verdict}: {verification.problems()[0]}; nothing is attested")
    payloads = statements_of(bundle, verification)
    path = envelope.sign_keyless(bundle, payloads) if key is None else envelope.sign(bundle, payloads, key)
    text = f"{path}: {len(payloads)} statements. Next: python -m export admit {bundle} --policy policy.toml"
    show(console, {"path": str(path), "statements": len(payloads)}, text)


@click.command("bom")
@click.argument("bundle", type=PATH)
@common_options
def bom_command(bundle: Path, console: Console) -> None:
    """Print the bill of materials of BUNDLE as JSON of CycloneDX."""
    from export.attestation import bom
    from export.bundle.layout import read_manifest

    content = bom.to_json(bundle.resolve().name, read_manifest(bundle))
    console.result(content)
    if not console.json:
        echo(json.dumps(content, indent=1))


@click.command("admit")
@click.argument("bundle", type=PATH)
@click.option("--policy", required=True, type=PATH, metavar="FILE", help="What it must hold (TOML).")
@common_options
def admit_command(bundle: Path, policy: Path, console: Console) -> None:
    """Exit with 0 if BUNDLE, or a published version, is admitted by a policy, with 1 if it is refused."""
    from export.attestation.policy import admit, read_policy

    predicate = admit(bundle, read_policy(policy))
    show(console, {"admitted": True, "verdict": predicate["verdict"]}, f"{bundle}: admitted by {policy}")


@click.command("webhook")
@click.argument("folder", type=PATH)
@click.option("--policy", required=True, type=PATH, metavar="FILE", help="What a bundle must hold (TOML).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8443, show_default=True, type=click.IntRange(0, 65535), help="0 chooses a free one.")
@click.option("--certificate", type=PATH, metavar="FILE", help="Certificate of HTTPS (PEM); without it, HTTP.")
@click.option("--key", type=PATH, metavar="FILE", help="Its private key (PEM).")
@common_options
def webhook_command(
    folder: Path, policy: Path, host: str, port: int, certificate: Path | None, key: Path | None, console: Console
) -> None:
    """Answer Kubernetes whether an object may start the bundles that it names; FOLDER has the volumes, by claim."""
    from export.attestation.policy import read_policy
    from export.attestation.webhook import server

    with server(folder, read_policy(policy), (host, port), certificate, key) as listening:
        address = f"{'http' if certificate is None else 'https'}://{host}:{listening.server_port}"
        show(console, {"address": address}, f"webhook at {address}; end it with Ctrl-C")
        with contextlib.suppress(KeyboardInterrupt):
            listening.serve_forever()


@click.group("log")
def log_group() -> None:
    """The log of what was published, promoted, rolled back and retired under a base path."""


@log_group.command("verify")
@click.argument("base_path", type=PATH)
@SIGNERS
@common_options
def log_verify_command(base_path: Path, signers: tuple[Path, ...], console: Console) -> None:
    """Check the chain of BASE_PATH/log.jsonl, and that it says what is in BASE_PATH."""
    from export.attestation import log

    entries = log.verify(base_path, signers)
    lines = [f"{e['time']}  {e['action']} {', '.join(e['versions'])} by {e['by']}" for e in entries]
    show(console, {"entries": entries}, *lines, f"{base_path}: {len(entries)} entries, none changed")


@log_group.command("sign")
@click.argument("base_path", type=PATH)
@click.option("--key", required=True, type=PATH, metavar="KEY", help="Private key (PEM).")
@common_options
def log_sign_command(base_path: Path, key: Path, console: Console) -> None:
    """Sign BASE_PATH/log.jsonl as it is, so that lines that are missing at its end are found, too."""
    from export.attestation import log

    path = log.sign(base_path, key)
    show(
        console, {"path": str(path)}, f"{path}: signed. Next: python -m export log verify {base_path} --signer KEY.pub"
    )
