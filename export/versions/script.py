"""Write a script that shows what a release of a runtime computes differently, with that runtime and NumPy only."""

import textwrap
from pathlib import Path
from string import Template

import numpy as np

from export.artifacts.operators import OperatorDifference
from export.contract import Artifact
from export.versions.releases import Release

RUN = {  # by runtime: what is imported, and lines that define `answer` from `inputs`
    "onnxruntime": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])',
        "answer = session.run(None, inputs)[0]",
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        "runner = Interpreter(MODEL).get_signature_runner()",
        "rows = range(0, len(expected), $batch)",
        'calls = [runner(**{k: v[i : i + $batch] for k, v in inputs.items()})["value"] for i in rows]',
        "answer = np.concatenate(calls)",
    ),
    "openvino": (
        "import openvino",
        'exact = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}',
        'answer = openvino.Core().compile_model(MODEL, "CPU", exact)(inputs)["value"]',
    ),
    "c_api": (
        "import tensorflow as tf",
        'function = tf.saved_model.load(MODEL).signatures["$signature"]',
        'answer = function(**{k: tf.constant(v) for k, v in inputs.items()})["value"].numpy()',
    ),
}
SCRIPT = Template('''\
"""$text"""

from pathlib import Path

import numpy as np
$imports

HERE = Path(__file__).parent
MODEL = str(HERE / "$model")
stored = np.load(HERE / "$name.npz")
inputs = {name[len("input ") :]: stored[name] for name in stored.files if name.startswith("input ")}
expected = stored["expected"]
$lines
difference = np.max(np.abs(answer.astype(float) - expected.astype(float)))
print(f"largest difference from what is expected: {difference:.3g}")
''')


def write_script(found: OperatorDifference, release: Release, artifact: Artifact, folder: Path) -> Path:
    """Write `NAME.py`, `NAME.npz` and the part of the file to a folder; return the path of the script."""
    if found.file is None:
        raise ValueError("the part of the file was not kept")
    file = str(Path(artifact.path).with_suffix("")).replace("/", "-")
    name = f"{release.package.distribution}-{release.version}-{file}".replace(".", "_")
    model = found.file.rename(folder / f"{name}{found.file.suffix}")
    arrays = {f"input {key}": value for key, value in found.inputs.items()}
    np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, expected=found.expected, **arrays)
    imports, *lines = RUN[release.package.runtime]
    facts = {"signature": artifact.endpoints[0], "batch": artifact.batch or len(found.expected)}
    script = folder / f"{name}.py"
    script.write_text(
        SCRIPT.substitute(
            text=_text(found, release),
            name=name,
            model=model.name,
            imports=imports,
            lines="\n".join(Template(line).substitute(facts) for line in lines),
        )
    )
    return script


def _text(found: OperatorDifference, release: Release) -> str:
    """Return the docstring: one line, what differs, and what to install."""
    needed = f"In an environment with {release.package.distribution}=={release.version} and numpy, run this file."
    sentence = found.sentence()
    paragraphs = (f"{sentence[0].upper()}{sentence[1:]}.", needed)
    rest = "\n\n".join(textwrap.fill(text, 110, break_long_words=False) for text in paragraphs)
    return f"{release.name} computes {found.type} differently.\n\n{rest}\n"
