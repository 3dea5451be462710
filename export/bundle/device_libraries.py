"""Sections of DEVICES.md for the libraries on LiteRT: MediaPipe Tasks, the program in C, and microcontrollers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.bundle.npu import ACCELERATOR
from export.bundle.snippets import fenced
from export.contract import Endpoint
from export.formats import tflite
from export.formats.format import Description
from export.proof.certificate import worst_difference
from export.runners import RUNTIMES, members, run_litert_c, run_mediapipe
from export.runners.environments import VELA

CALLS = {  # task: its package on Android, its method
    "ImageClassifier": ("imageclassifier", "classify"),
    "ImageEmbedder": ("imageembedder", "embed"),
    "ImageSegmenter": ("imagesegmenter", "segment"),
    "TextClassifier": ("textclassifier", "classify"),
    "TextEmbedder": ("textembedder", "embed"),
}
CHECKED = "ImageClassifier.java and MPPImageClassifier.h of google-ai-edge/mediapipe"
SPARE = 1.1  # of the memory that was measured on this machine, whose pointers are longer
LONGEST_ARRAY = 4096  # bytes of a file that is printed as an array
PER_LINE = 20


def tasks(endpoint: Endpoint, file: Mapping[str, Any], labels: Sequence[str] | None, version: str | None) -> list[str]:
    """Return the section of MediaPipe Tasks, where one opens the file; `version` opened it here, if any did."""
    task = run_mediapipe.task_of(endpoint.to_json()) if len(file["endpoints"]) == 1 else None
    if task not in CALLS:
        return []
    package, call = CALLS[task]
    kind, path = ("vision" if task.startswith("Image") else "text"), Path(file["path"])
    values = {"task": task, "package": package, "call": call, "file": path.name, "stem": path.stem}
    values["version"] = version or "latest.release"
    proven = f"MediaPipe {version} for Python opened it here, see the certificate. " if version else ""
    return [
        f"## MediaPipe Tasks: {task}",
        f"{proven}The library scales the image, splits the text and names the classes by the metadata of the file."
        f"{' The labels are in the file.' if labels else ''}",
        fenced("kotlin", f"tasks_{kind}.kt", values),
        fenced("swift", f"tasks_{kind}.swift", values),
        f"Read against {CHECKED}; not compiled.",
    ]


def program(path: str, endpoint: Endpoint, version: str | None) -> list[str]:
    """Return the section of the program in C, where all sizes are fixed."""
    if any(None in tensor.shape[1:] for tensor in (*endpoint.inputs, *endpoint.outputs)):
        return []
    ran = f"LiteRT {version} ran it here, see the certificate." if version else "A test of the exporter compiles it."
    source = run_litert_c.SOURCE.read_text(encoding="utf-8").rstrip()
    return [
        "## C",
        f"`litert_run {path} {endpoint.name} < inputs > outputs` with LiteRT's shared library. {ran}",
        f"```c\n{source}\n```",
    ]


def npu(rows: Sequence[Any]) -> list[str]:
    """Return the section of what an NPU would take of the int8 file, or nothing."""
    facts = next((row.facts for row in rows if "npu_operators" in row.facts), None)
    if facts is None:
        return []
    compiler, whole = VELA.requirements[0].replace("==", " "), facts["npu_operators"] + facts["cpu_operators"]
    memory, flash = (facts[f"npu_{kind}_bytes"] / 1024 for kind in ("memory", "flash"))
    return [
        "## NPU (Ethos-U)",
        f"{compiler} would put {facts['npu_operators']} of {whole} operators of the int8 file on an {ACCELERATOR}: "
        f"{facts['npu_microseconds'] / 1000:.1f} ms an inference, {memory:.0f} kB of memory, {flash:.0f} kB of flash. "
        "A report of the compiler; nothing ran there.",
    ]


def gpu(rows: Sequence[Any]) -> list[str]:
    """Return the section of which GPU kernels are proven, or nothing where none ran."""
    group = members(["gpu"], {row.format for row in rows})
    ran = [row for row in rows if row.versions and row.runtime in group]
    lines = [
        f"- `{row.artifact}` in {'half precision' if RUNTIMES[row.runtime].precision else 'float32'}, `{row.runtime}` "
        f"({', '.join(f'{name} {version}' for name, version in row.versions.items())}): "
        f"{': '.join(filter(None, (row.state, row.reason or worst_difference(row), row.note)))}"
        for row in ran
    ]
    text = "These kernels ran on drivers for processors; the driver of a phone or a graphics card did not, nor an NPU."
    if absent := [f"`{name}`" for name in group if name not in {row.runtime for row in ran}]:
        text += f" Not run: {', '.join(absent)}."
    return ["## GPU", "\n".join(lines), text] if lines else []


def microcontrollers(folder: Path, rows: Sequence[Any]) -> list[str]:
    """Return the section of the smallest file that the interpreter of microcontrollers ran, or nothing."""
    ran = [r for r in rows if r.runtime == "tflite_micro" and r.state == "pass" and r.facts.get("arena_bytes")]
    if not ran:
        return []
    sizes = {row.artifact: (folder / row.artifact).stat().st_size for row in ran}
    table = [
        f"| `{row.artifact}` | {sizes[row.artifact] / 1024:.1f} | {row.facts['arena_bytes'] / 1024:.1f} |"
        for row in ran
    ]
    smallest = min(ran, key=lambda row: sizes[row.artifact])
    path = folder / smallest.artifact
    description = Description(path, tflite.FORMAT.name, sizes[smallest.artifact])
    tflite.describe(description)
    operators = sorted(description.operations)
    arena = int(smallest.facts["arena_bytes"] * SPARE) // 16 * 16 + 16
    name = f"{path.stem}_tflite"
    values = {
        "arena": str(arena),
        "measured": str(smallest.facts["arena_bytes"]),
        "count": str(len(operators)),
        "operators": "\n".join(f"resolver.Add{_camel(name)}();" for name in operators),
        "array": name,
    }
    return [
        "## Microcontrollers",
        "\n".join(["| file | kB of flash | kB of memory |", "| --- | ---: | ---: |", *table]),
        fenced("cpp", "micro", values),
        "Read against tensorflow/lite/micro/micro_interpreter.h of tensorflow/tflite-micro; not compiled.",
        *_array(path, name, smallest.artifact),
    ]


def _camel(operator: str) -> str:
    """Return the name of an operator as the resolver's methods have it: CONV_2D is Conv2D."""
    return "".join(part if part[:1].isdigit() else part.title() for part in operator.split("_"))


def _array(path: Path, name: str, artifact: str) -> list[str]:
    """Return the file as an array in C, or, where it is long, how that is made."""
    data = path.read_bytes()
    if len(data) > LONGEST_ARRAY:
        return [f"`xxd -i -n {name} {artifact} > {name}.h` writes it as an array in C; align it to 16 bytes."]
    lines = [
        ", ".join(f"0x{byte:02x}" for byte in data[start : start + PER_LINE]) for start in range(0, len(data), PER_LINE)
    ]
    body = ",\n  ".join(lines)
    return [f"```c\n_Alignas(16) const unsigned char {name}[{len(data)}] = {{\n  {body}}};\n```"]
