"""Golden files: what people have, beside the golden tensors that the feed of the training made of it.

File `inputs/I_LABEL.jpg` (.png, .wav, .txt) of a bundle is row I of the golden case "real" of the first endpoint. The
contract, and the snippets that run here, must make that row of it.
"""

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Tensor
from export.contract.preprocessing import ImagePreprocessing, Preprocessing, SoundPreprocessing, TextPreprocessing
from export.inputs import applications
from export.inputs.snippets import snippet
from export.protocol.arrays import check_archive
from export.runtime import process
from zoobase.errors import ExportError

FOLDER = "inputs"
RUN_HERE = ("python", "opencv")  # languages that the base installation runs
LANGUAGE_OF = {"browser": "javascript", "litert_c": "c"}  # by runtime: the language of its application
KINDS = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"RIFF": "wav"}  # first bytes of a file; others are texts
LARGEST = 2**23  # bytes of all golden files
NAME = re.compile(r"(\d+)(_.*)?\.(jpg|png|wav|txt)")
# largest root mean square difference: of images in levels of 255, of the contract and of other decoders; of samples
LIMITS = {"contract": 0.5, "others": 3.0, "sound": 1e-4}


@dataclass(frozen=True)
class Outcome:
    """What one language made of the golden files.

    Attributes:
        language: "contract", or one of `export.inputs.snippets.LANGUAGES`.
        files: How many files.
        largest: The largest root mean square difference of a file, in the unit of `LIMITS`; None where it did not run.
        problem: Why it failed, as a clause, or None.
        is_installed: Whether what it needs is.
        note: What one should know of it, as a clause, or None.
    """

    language: str
    files: int
    largest: float | None = None
    problem: str | None = None
    is_installed: bool = True
    note: str | None = None


def content_of(example: Mapping[str, Any], recipe: Preprocessing, rate: int | None) -> bytes:
    """Return the file of an example of a dataset: its encoded image, its text, or a WAV file of its samples."""
    if isinstance(recipe, SoundPreprocessing):
        from scipy.io import wavfile

        stream = io.BytesIO()
        wavfile.write(stream, rate, example["samples"])
        return stream.getvalue()
    return example.get("text" if isinstance(recipe, TextPreprocessing) else "image", b"")


def names(files: Sequence[bytes], labels: Sequence[str]) -> dict[str, bytes]:
    r"""Return {name in the bundle: content} of files; {} if they are more than `LARGEST` bytes, or of an unknown kind.

    Example:
        >>> list(names([b"\x89PNG...", b"some text"], ["T-shirt/top", ""]))
        ['inputs/0_T-shirt_top.png', 'inputs/1.txt']
    """
    found = {}
    for i, (content, label) in enumerate(zip(files, labels, strict=True)):
        kind = next((kind for start, kind in KINDS.items() if content.startswith(start)), "txt")
        if isinstance(content, bytes) and content and not (kind == "txt" and b"\0" in content):
            plain = re.sub(r"[^\w-]+", "_", label)[:40]
            found[f"{FOLDER}/{i}{'_' if plain else ''}{plain}.{kind}"] = content
    return found if len(found) == len(files) and sum(map(len, files)) <= LARGEST else {}


def files_of(folder: Path) -> dict[int, Path]:
    """Return the golden files of a bundle by row."""
    paths = sorted((folder / FOLDER).iterdir()) if (folder / FOLDER).is_dir() else []
    return {int(match[1]): path for path in paths if (match := NAME.fullmatch(path.name))}


def check(
    folder: Path, tensor: Tensor, rows: np.ndarray, vocabulary: Sequence[str], languages: Sequence[str] = RUN_HERE
) -> list[Outcome]:
    """Run the contract and the snippets on the golden files, confined, and compare with rows (N, ...) of the feed."""
    files = {i: path for i, path in files_of(folder).items() if i < len(rows)}
    if not files or tensor.preprocessing is None:
        return []
    snippets = {}
    for language in languages if isinstance(tensor.preprocessing, ImagePreprocessing) else ():
        with contextlib.suppress(ExportError):  # a recipe that is not written as code has no row
            snippets[language] = snippet(tensor, language)
    with tempfile.TemporaryDirectory(prefix="inputs-") as name:
        scratch = Path(name)
        job = {"files": [str(path.resolve()) for path in files.values()], "tensor": tensor.to_json()}
        job |= {"snippets": {k: v for k, v in snippets.items() if k in RUN_HERE}, "vocabulary": list(vocabulary)}
        job |= {"library": _compiled(snippets["c"], scratch) if "c" in snippets else None}
        problems, arrays = _run(job, folder, scratch)
        if arrays is None:
            return [Outcome("contract", len(files), problem=problems["contract"])]
        if "c" in snippets and job["library"] is None:
            problems["c"] = "No module named cc: install a C compiler"
        if "javascript" in snippets:
            try:
                arrays |= applications.in_chromium(snippets["javascript"], list(files.values()), scratch)
            except ExportError as error:
                problems["javascript"] = str(error)
    shape = rows.shape[1:]
    found = []
    for language in ("contract", *snippets):
        tensors = [arrays.get(f"{language}/{i}") for i in range(len(files))]
        tensors = [t.reshape(shape) if t is not None and t.size == np.prod(shape) else t for t in tensors]
        found.append(_compared(language, tensors, files, rows, tensor, problems))
    return found


def pixels_of(folder: Path, tensor: Tensor) -> dict[int, np.ndarray]:
    """Return the pixels uint8 (H, W, C) of golden images by row, upright, in their own sizes; {} if damaged."""
    files = files_of(folder)
    if not files:
        return {}
    with tempfile.TemporaryDirectory(prefix="inputs-") as name:
        job = {"files": [str(path.resolve()) for path in files.values()], "tensor": tensor.to_json(), "pixels": True}
        _, arrays = _run(job | {"snippets": {}, "vocabulary": [], "library": None}, folder, Path(name))
    found = {row: (arrays or {}).get(f"pixels/{i}") for i, row in enumerate(files)}
    return {row: pixels for row, pixels in found.items() if pixels is not None}


def _run(job: dict[str, Any], folder: Path, scratch: Path) -> tuple[dict[str, str], dict[str, np.ndarray] | None]:
    """Run `run_files.py`, confined; return problems by language and the arrays, or None and the problem of all."""
    script, job = str(Path(__file__).with_name("run_files.py")), job | {"out": str(scratch / "tensors.npz")}
    problems, problem = process.run_job(script, job, scratch, "keras", packages=["export"], reads=[folder])
    if problems is None:
        return {"contract": problem or "it ended"}, None
    check_archive(scratch / "tensors.npz")
    with np.load(scratch / "tensors.npz", allow_pickle=False) as stored:
        return problems, dict(stored)


def _compiled(code: str, scratch: Path) -> str | None:
    """Return the shared library of a C snippet, or None where there is no compiler."""
    source, library = scratch / "preprocess.c", scratch / "preprocess.so"
    source.write_text(code)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    return str(library)


def _compared(
    language: str,
    tensors: Sequence[np.ndarray | None],
    files: Mapping[int, Path],
    rows: np.ndarray,
    tensor: Tensor,
    problems: Mapping[str, str],
) -> Outcome:
    """Return how far the tensors of a language are from the rows of the feed."""
    if language in problems or any(array is None for array in tensors):
        text = problems.get(language, "it gave no tensor")
        return Outcome(language, len(files), problem=text, is_installed="No module named" not in text)
    recipe = tensor.preprocessing
    unit = float(np.abs(recipe.scale).max()) if isinstance(recipe, ImagePreprocessing) else 1.0
    largest, worst = 0.0, ""
    for array, (row, path) in zip(tensors, files.items(), strict=True):
        if array.shape != rows[row].shape:
            return Outcome(
                language, len(files), problem=f"{path.name} becomes shape {array.shape}, not {rows[row].shape}"
            )
        apart = float(np.sqrt(np.mean((array.astype(np.float64) - rows[row]) ** 2))) / unit
        largest, worst = max((largest, worst), (apart, path.name))
    limit = 0.0 if isinstance(recipe, TextPreprocessing) else LIMITS["sound"]
    if isinstance(recipe, ImagePreprocessing):
        limit = LIMITS["contract" if language == "contract" else "others"]
    text = f"{worst} becomes another tensor than the feed made of it: {largest:.3g} apart, at most {limit:g} is allowed"
    return Outcome(language, len(files), largest, text if largest > limit else None)
