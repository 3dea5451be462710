"""Run a program of `torch.export` in PyTorch, in an environment of its own, without what it would unpickle."""

import json
import os
import tempfile
import zipfile
from typing import Any

import numpy as np

if __package__:
    from export.protocol import runner
    from export.runners.environments import TORCH
else:
    import runner
    from environments import TORCH

EXAMPLES, GRAPH = "data/sample_inputs/", "models/model.json"


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a program and return its function."""
    import torch

    torch.set_num_threads(runner.threads() or torch.get_num_threads())
    (endpoint,) = artifact["endpoints"]
    copy = os.path.join(tempfile.mkdtemp(), "program.pt2")
    _copy(str(artifact["path"]), copy)
    function = torch.export.load(copy).module()
    names = [tensor["name"] for tensor in endpoint["inputs"]]

    def call(inputs: runner.Arrays) -> runner.Arrays:
        with torch.no_grad():
            result = function(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in names))
        values = [*result.values()] if isinstance(result, dict) else result if isinstance(result, tuple) else [result]
        outputs = [tensor["name"] for tensor in endpoint["outputs"]]
        return {name: value.numpy() for name, value in zip(outputs, values, strict=True)}

    return {endpoint["name"]: {"main": call}}


def _copy(path: str, target: str) -> None:
    """Write the program without its example inputs, which are pickled, and without code for checks of inputs."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for info in source.infolist():
            content, name = source.read(info), info.filename.partition("/")[2]
            if name == GRAPH:
                content = json.dumps(json.loads(content) | {"guards_code": []}).encode()
            copy.writestr(info.filename, b"" if name.startswith(EXAMPLES) else content)


RUNTIME = runner.Runtime(
    "torch",
    __file__,
    distribution="torch",
    module="torch",
    formats=("torch",),
    open=open_artifact,
    extra=True,
    install=TORCH.command,
    process=runner.Process(
        imports=("torch",),
        environment={"USER": "nobody"},  # PyTorch asks for a name, and the file of users is out of reach
        installation=TORCH,
    ),
    capabilities=runner.Capabilities(measures_noise=("torch",)),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
