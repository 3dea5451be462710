"""`export check-input` and `export snippets` on the bundle of a training, as an application's author uses them."""

import json
import shutil

import numpy as np
from PIL import Image

from tests.commands import run


def test_the_command_names_the_mistake_and_what_it_costs(trained, tmp_path):
    bundle = trained("fashion_mnist") / "bundle"
    rows = {r["runtime"]: r for r in json.loads((bundle / "parity.json").read_text())["artifacts"]}
    assert {rows[f"input {name}"]["state"] for name in ("contract", "python", "opencv")} == {"pass"}
    files = sorted((bundle / "inputs").iterdir())
    labels = [path.stem.partition("_")[2] for path in files]
    assert len({*labels}) == min(
        len(files), len(json.loads((bundle / "manifest.json").read_text())["contract"]["labels"])
    )
    assert "## Preprocessing" in (card := (bundle / "README.md").read_text())
    assert "| colours inverted |" in card
    image = files[0]
    right = np.asarray(Image.open(image).convert("L"), np.float32)
    np.save(tmp_path / "x.npy", 255 - right[None, ..., None])
    shutil.copytree(bundle / "inputs", tmp_path / "examples")
    command = ("-m", "export", "check-input", bundle, image)
    result = run(*command, tmp_path / "x.npy", "--examples", tmp_path / "examples", "-o", tmp_path / "x.png")
    assert result.returncode == 1
    assert "values inverted, 0 to 255; expected values 0 to 255" in result.stdout
    assert "the answer for this file" in result.stdout
    assert f"on {len(files)} files" in result.stdout
    assert Image.open(tmp_path / "x.png").width == 900
    np.save(tmp_path / "right.npy", right)
    result = run(*command, tmp_path / "right.npy", "--json")
    assert (result.returncode, json.loads(result.stdout)["verdict"]) == (0, "as stated")
    result = run(*command[:-1], tmp_path / "none.png", tmp_path / "x.npy")
    assert (result.returncode, "there is no file" in result.stderr) == (3, True)
    code = run("-m", "export", "snippets", bundle, "--for", "python").stdout
    scope = {"__name__": "snippet"}
    exec(compile(code, "snippet", "exec"), scope)
    assert np.array_equal(scope["preprocess"](str(image))[..., 0], right)
