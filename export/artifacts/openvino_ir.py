"""Networks in OpenVINO's own form (IR): NAME.xml with its weights in NAME.bin, which `model.export` of Keras writes.

Read as a reference or candidate of a comparison, never written. Source: OpenVINO's documentation, operation sets.
"""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from export.formats.format import Description, Format, Port, Signature
from zoobase.errors import ExportError

DTYPES = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool", "STRING": "string"}
DTYPES |= {f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)}
LARGEST = 2**28  # bytes


def matches(path: Path, head: bytes) -> bool:
    """Return whether a file is such a network."""
    return path.suffix == FORMAT.extension and head.lstrip().startswith((b"<?xml", b"<net"))


def describe(description: Description) -> None:
    """Fill in the signature, operators and producer."""
    path = description.path
    if path.stat().st_size > LARGEST or b"<!" in (content := path.read_bytes()):
        raise ExportError(f"{path} has more than {LARGEST:,} bytes, or declarations that OpenVINO does not write")
    if not (weights := path.with_suffix(".bin")).is_file():
        raise ExportError(f"{path} has no weights beside it: there is no {weights.name}")
    description.size += weights.stat().st_size
    network = ElementTree.fromstring(content)
    layers = {layer.attrib["id"]: layer for layer in network.iterfind("layers/layer")}
    version = network.find("rt_info/Runtime_version")
    description.producer = {"openvino": "unknown" if version is None else version.attrib["value"]}
    description.operations = operations = dict(sorted(Counter(x.attrib["type"] for x in layers.values()).items()))
    own = {x.attrib["type"] for x in layers.values() if not x.get("version", "").startswith("opset")}
    random = [name for name in operations if name.startswith(("Random", "Multinomial"))]
    stateful = [name for name in operations if name in ("Assign", "ReadValue")]
    description.flagged = {"flex": [], "custom": sorted(own), "random": random, "stateful": stateful}
    edges = {e.attrib["to-layer"]: (e.attrib["from-layer"], e.attrib["from-port"]) for e in network.iter("edge")}
    results = [edges[name] for name, layer in layers.items() if layer.attrib["type"] == "Result"]
    outputs = [p for name, number in results for p in layers[name].iterfind("output/port") if p.get("id") == number]
    inputs = [layer.find("output/port") for layer in layers.values() if layer.attrib["type"] == "Parameter"]
    description.signatures = (Signature("", tuple(map(_port, inputs)), tuple(map(_port, outputs))),)


def _port(port: ElementTree.Element | None) -> Port:
    if port is None or not (name := port.get("names", "").partition(",")[0]) or port.get("precision") not in DTYPES:
        raise ExportError("an input or output has no name, or a dtype that NumPy does not have")
    sizes = [int(dim.text or 0) for dim in port.iterfind("dim")]
    return Port(name, DTYPES[port.attrib["precision"]], tuple(None if size < 0 else size for size in sizes))


FORMAT = Format("openvino", ".xml", None, matches, describe, is_default=False, has_strings=False)
