"""Preprocess the golden files of a bundle, in a process of its own: `python -P run_files.py JOB.json`.

The job is {"files": [paths], "tensor": of the contract, "vocabulary": [tokens], "snippets": {language: Python},
"library": of the C snippet or null, "pixels": whether the upright images are wanted, "result", "out": .npz to write,
with an array `LANGUAGE/i`, or `pixels/i`, for each file}. The language "contract" is the contract itself.
"""

import ctypes
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import read_job

from export.contract import Tensor
from export.inputs import check
from export.inputs.images import ImageFile, upright_pixels


def main() -> None:
    """Write the tensors; the result names why a language failed."""
    job: dict[str, Any] = read_job()
    tensor, problems, arrays = Tensor.from_json(job["tensor"]), {}, {}
    preprocess = {"contract": lambda file: check.expected(tensor, Path(file), job["vocabulary"])}
    for language, code in job["snippets"].items():
        scope: dict[str, Any] = {"__name__": language}
        try:
            exec(compile(code, f"<{language}>", "exec"), scope)
            preprocess[language] = scope["preprocess"]
        except ImportError as error:
            problems[language] = str(error)
    if job["library"]:
        preprocess["c"] = lambda file: _in_c(job["library"], tensor, file)
    if job.get("pixels"):
        whole = replace(tensor.preprocessing, decoder="accurate")  # an application that resizes decodes at full size
        preprocess["pixels"] = lambda file: _pixels(replace(tensor, preprocessing=whole), file)
    for language, call in preprocess.items():
        try:
            arrays |= {f"{language}/{i}": call(file) for i, file in enumerate(job["files"])}
        except Exception as error:  # files of others may be damaged in any way
            problems[language] = f"{type(error).__name__}: {error}"
    np.savez(job["out"], **arrays)
    Path(job["result"]).write_text(json.dumps(problems))


def _pixels(tensor: Tensor, path: str) -> np.ndarray:
    """Return the decoded and upright pixels of a file, at the size of the decoder that the contract states."""
    file = ImageFile(Path(path).read_bytes())
    return np.ascontiguousarray(np.rint(upright_pixels(file, tensor.preprocessing, tensor.shape[1:3])), np.uint8)


def _in_c(library: str, tensor: Tensor, path: str) -> np.ndarray:
    """Return what the C snippet makes of the decoded and upright pixels of a file."""
    pixels, result = _pixels(tensor, path), np.zeros(tensor.shape[1:], np.float32)
    pointers = (pixels.ctypes.data_as(ctypes.c_void_p), *pixels.shape[:2], result.ctypes.data_as(ctypes.c_void_p))
    ctypes.CDLL(library).preprocess(*pointers)
    return result


if __name__ == "__main__":
    main()
