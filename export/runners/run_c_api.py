"""Run the signatures of a SavedModel with the C++ loader of TF Serving, without Python TensorFlow in the process."""

from pathlib import Path
from typing import Any

if __package__:
    from export.protocol import c_api, runner
else:
    import c_api
    import runner


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a SavedModel and return its signatures."""
    path = Path(artifact["path"])
    if not (path / "variables" / "variables.index").is_file():
        raise ValueError("variables/variables.index is missing")
    session = c_api.Session(path)

    def function(endpoint: dict[str, Any]) -> runner.Function:
        signature = session.signatures[endpoint["name"]]
        return lambda inputs: session.run(signature, inputs)

    return runner.by_endpoint(artifact, function, session.signatures)


def versions() -> dict[str, str]:
    """Return the version of the runtime."""
    return {"tensorflow C API": c_api.version()}


RUNTIME = runner.Runtime(
    "c_api",
    __file__,
    distribution="tensorflow",
    module="tensorflow",
    formats=("saved_model",),
    open=open_artifact,
    versions=versions,
    required=True,
    library=c_api.LIBRARIES[1],
    process=runner.Process(forked_from="c_api"),
    capabilities=runner.Capabilities(serves=True),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
