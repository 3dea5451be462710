"""What the page says of registries: ORAS copies a bundle and its attestation to one and back."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from export.attestation.policy import Policy, admit
from export.bundle import layout
from tests.export.attestation.mutations import write_keys
from zoobase.errors import CheckFailed
from zoobase.ports import free_ports

pytestmark = pytest.mark.needs("oras", "docker-registry", "attestation")
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "share.md"


def contents(folder):
    return {name: (folder / name).read_bytes() for name in layout.files_of(folder)}


@pytest.fixture
def registry(tmp_path):
    """Return HOST:PORT of a running registry."""
    (port,) = free_ports(1)
    configuration = {"version": "0.1", "http": {"addr": f"127.0.0.1:{port}"}}
    configuration |= {"storage": {"filesystem": {"rootdirectory": str(tmp_path / "storage")}}}
    (tmp_path / "config.yml").write_text(json.dumps(configuration))  # which is YAML
    with subprocess.Popen(["docker-registry", "serve", tmp_path / "config.yml"], stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_bundle_and_its_attestation_come_back_from_a_registry(registry, bundles, tmp_path):
    from export.attestation import envelope, statement

    private, public = write_keys(tmp_path)[:2]
    (tmp_path / "out").mkdir()
    folder = shutil.copytree(bundles("two_by_two").path, tmp_path / "out" / "mine")
    envelope.sign(folder, statement.statements_of(folder), private)
    here = tmp_path / "here"
    here.mkdir()

    def oras(verb, reference=None):
        (command,) = re.findall(rf"^    (oras {verb} .*)$", PAGE.read_text(), re.MULTILINE)
        command = f"oras {verb} {reference}" if reference else command.replace("registry.example.com", registry)
        command += " --plain-http"
        place = tmp_path / "out" if verb in ("push", "attach") else here
        return subprocess.run(command.split(), cwd=place, check=True, capture_output=True, text=True).stdout

    for verb in ("push", "attach"):
        oras(verb)
    (attestation,) = json.loads(oras("discover"))["manifests"]
    assert attestation["artifactType"] == "application/vnd.in-toto+json"
    oras("pull")
    subprocess.run(
        ["oras", "pull", "--plain-http", attestation["reference"]], cwd=here, check=True, capture_output=True
    )
    assert contents(here / "mine") == contents(folder)
    assert admit(here / "mine", Policy(signers=[public], confined=False))["verdict"] == "pass"
    (here / "mine" / "README.md").write_text("another")
    with pytest.raises(CheckFailed, match=r"README\.md was changed"):
        admit(here / "mine", Policy(signers=[public], confined=False))
