"""Write a script that shows what a release of a runtime computes differently, with that runtime and NumPy only."""

from __future__ import annotations

from pathlib import Path
from string import Template

import numpy as np

from export.contract import Artifact
from export.versions.operators import OperatorDifference
from export.versions.releases import Release

RUN = {  # by runtime: what is imported, and lines that define `answer` from `inputs`
    "onnxruntime": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession(str(HERE / "$model"), providers=["CPUExecutionProvider"])',
        "answer = session.run(None, inputs)[0]",
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        'runner = Interpreter(str(HERE / "$model")).get_signature_runner()',
        "rows = range(0, len(expected), $batch)",
        'calls = [runner(**{k: v[i : i + $batch] for k, v in inputs.items()})["value"] for i in rows]',
        "answer = np.concatenate(calls)",
    ),
    "openvino": (
        "import openvino",
        'exact = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}',
        'answer = openvino.Core().compile_model(str(HERE / "$model"), "CPU", exact)(inputs)["value"]',
    ),
    "c_api": (
        "import tensorflow as tf",
        'function = tf.saved_model.load(str(HERE / "$model")).signatures["$signature"]',
        'answer = function(**{k: tf.constant(v) for k, v in inputs.items()})["value"].numpy()',
    ),
}
SCRIPT = Template('''\
"""$sentence.

In an environment with $requirements: python $name.py
"""

from pathlib import Path

import numpy as np
$imports

HERE = Path(__file__).parent
stored = np.load(HERE / "$name.npz")
inputs = {name[len("input ") :]: stored[name] for name in stored.files if name.startswith("input ")}
expected = stored["expected"]
$lines
difference = np.max(np.abs(answer.astype(float) - expected.astype(float)))
print(f"largest difference from what is expected: {difference:.3g}")
''')


def write_script(found: OperatorDifference, release: Release, artifact: Artifact, folder: Path) -> Path:
    """Write `NAME.py`, `NAME.npz` and the part of the file to a folder; return the path of the script.

    Args:
        found: The operator that differs, with the part of the file in the folder.
        release: The release that differs.
        artifact: What was run.
        folder: An existing folder.
    """
    if found.file is None:
        raise ValueError("the part of the file was not kept")
    file = str(Path(artifact.path).with_suffix("")).replace("/", "-")
    name = f"{release.package.distribution}-{release.version}-{file}".replace(".", "_")
    model = found.file.rename(folder / f"{name}{found.file.suffix}")
    arrays = {f"input {key}": value for key, value in found.inputs.items()}
    np.savez(folder / f"{name}.npz", allow_pickle=False, expected=found.expected, **arrays)
    imports, *lines = RUN[release.package.runtime]
    facts = {"model": model.name, "signature": artifact.endpoints[0], "batch": artifact.batch or len(found.expected)}
    script = folder / f"{name}.py"
    script.write_text(
        SCRIPT.substitute(
            sentence=f"{release.name}: {found.sentence()}",
            requirements=" and ".join((f"{release.package.distribution}=={release.version}", "numpy")),
            name=name,
            imports=imports,
            lines="\n".join(Template(line).substitute(facts) for line in lines),
        )
    )
    return script
