"""The commands that open a run or a bundle read it, its inputs and libraries, write the results, and nothing else."""

import json
import os
import socket

import numpy as np
import pytest
from PIL import Image

from tests import commands

ATTEMPTS = """
import json, os, socket, sys
from pathlib import Path
from zoobase import console as shell
import zoo.predict, zoo.sample

job = json.loads(os.environ["ATTEMPTS"])

def connect():
    with socket.create_connection(("127.0.0.1", job["port"]), 2):
        pass

attempts = {
    "read the source": lambda: Path(job["source"], "config.json").read_text(),
    "read an input": lambda: Path(job["inputs"], "a.png").read_bytes(),
    "read an input behind a link": lambda: Path(job["inputs"], "link.png").read_bytes(),
    "write a result": lambda: Path(job["results"], "result").write_text("x"),
    "write a temporary file": lambda: __import__("tempfile").NamedTemporaryFile().close(),
    "import a library": lambda: __import__("PIL.Image"),
    "write the source": lambda: Path(job["source"], "new").write_text("x"),
    "write an input": lambda: Path(job["inputs"], "a.png").write_bytes(b"x"),
    "read elsewhere": lambda: Path(job["secret"]).read_text(),
    "write elsewhere": lambda: Path(job["secret"]).with_name("new").write_text("x"),
    "read the passwords": lambda: Path("/etc/passwd").read_text(),
    "connect": connect,
}

def attempt(*_, **__):
    done = []
    for name, call in attempts.items():
        try:
            call()
            done.append(name)
        except OSError:
            pass
    Path(job["results"], "done.json").write_text(json.dumps(done))
    sys.exit(0)

zoo.predict.run = zoo.sample.run = attempt
shell.run({"predict": zoo.predict.main, "sample": zoo.sample.main}[sys.argv.pop(1)])
"""


@pytest.fixture
def job(trained, tmp_path):
    for folder in ("inputs", "linked", "results", "elsewhere"):
        (tmp_path / folder).mkdir()
    for path in ("inputs/a.png", "linked/b.png"):
        pixels = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / path)
    (tmp_path / "inputs/link.png").symlink_to(tmp_path / "linked/b.png")
    (tmp_path / "elsewhere/secret").write_text("secret")
    return {
        "source": str(trained("fashion_mnist")),
        "inputs": str(tmp_path / "inputs"),
        "results": str(tmp_path / "results"),
        "secret": str(tmp_path / "elsewhere/secret"),
    }


@pytest.mark.parametrize("verb", ["predict", "sample"])
def test_a_command_reads_its_inputs_and_writes_its_results_and_nothing_else(job, tmp_path, verb):
    words = [job["source"], *([job["inputs"]] if verb == "predict" else ()), "-o", f"{job['results']}/out.csv"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = os.environ | {
            "PYTHONPATH": commands.ROOT,
            "ATTEMPTS": json.dumps(job | {"port": server.getsockname()[1]}),
        }
        ended = commands.run("-c", ATTEMPTS, verb, *words, env=environment, cwd=tmp_path, fresh=True)
    assert ended.returncode == 0, ended.stderr
    inputs = ["read an input", "read an input behind a link"] if verb == "predict" else []
    results = ["write a result", "write a temporary file", "import a library"]
    assert json.loads((tmp_path / "results/done.json").read_text()) == ["read the source", *inputs, *results]


@pytest.mark.parametrize("runtime", ["keras", "saved_model", "c_api", "tflite"])
def test_confined_predictions_are_made_in_every_runtime(job, tmp_path, runtime):
    words = [job["source"], job["inputs"], "--runtime", runtime, "--json"]
    ended = commands.run("-m", "zoo.predict", *words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": commands.ROOT})
    assert ended.returncode == 0, ended.stderr
    assert {row["input"] for row in json.loads(ended.stdout)["predictions"]} == {
        f"{job['inputs']}/a.png",
        f"{job['inputs']}/link.png",
    }
    assert (tmp_path / "predictions.csv").is_file()
