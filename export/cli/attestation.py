"""python -m export attest, bom, technical-file and admit: the certificate as statements that others can check."""

import json
from pathlib import Path

import click

from export.cli import PATH, show
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.errors import CheckFailed


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


@click.command("technical-file")
@click.argument("bundle", type=PATH)
@click.option("--evaluation", type=PATH, help="evaluation.json of its run.  [default: that of the folder above BUNDLE]")
@click.option("--before", type=PATH, multiple=True, metavar="BUNDLE", help="An earlier version; may be repeated.")
@common_options
def technical_file_command(bundle: Path, evaluation: Path | None, before: tuple[Path, ...], console: Console) -> None:
    """Print the measured parts of the technical documentation of BUNDLE (EU AI Act, annex IV) as Markdown, or JSON."""
    from export.attestation.technical_file import technical_file, to_markdown

    document = technical_file(bundle, evaluation, before)
    show(console, document, to_markdown(document).rstrip())


@click.command("admit")
@click.argument("bundle", type=PATH)
@click.option("--policy", required=True, type=PATH, metavar="FILE", help="What it must hold (TOML).")
@common_options
def admit_command(bundle: Path, policy: Path, console: Console) -> None:
    """Exit with 0 if BUNDLE, or a published version, is admitted by a policy, with 1 if it is refused."""
    from export.attestation.policy import admit, read_policy

    predicate = admit(bundle, read_policy(policy))
    show(console, {"admitted": True, "verdict": predicate["verdict"]}, f"{bundle}: admitted by {policy}")
