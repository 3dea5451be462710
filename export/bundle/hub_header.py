"""The YAML header of a bundle's README.md, by which the Hugging Face Hub lists and filters models.

Source: https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from export.contract import Contract

# the identifiers of https://huggingface.co/docs/hub/repositories-licenses that licences of models and data here have
LICENCES = """
    apache-2.0 mit isc zlib unlicense wtfpl bsl-1.0 ncsa bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear mpl-2.0
    epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 ecl-2.0 afl-3.0 artistic-2.0 osl-3.0 ms-pl postgresql ofl-1.1 gfdl gpl gpl-2.0
    gpl-3.0 agpl-3.0 lgpl lgpl-2.1 lgpl-3.0 cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 odc-by odbl pddl cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0
    openrail openrail++ bigscience-openrail-m creativeml-openrail-m bigcode-openrail-m
    """
ALIASES = {"cc0": "cc0-1.0", "apache 2.0": "apache-2.0"}
SCORES = ("logits", "probabilities")


def header(card: Mapping[str, Any], contract: Contract, formats: Iterable[str], name: str) -> str:
    """Return the header with its delimiters; `card` as of `export.bundle.card.write_card`."""
    # `library_name` is left out: "keras" would promise `keras.saving.load_model("hf://...")`, which reads an unpacked
    # `.keras` file, and not the bundle.
    task = pipeline_tag(contract)
    values: dict[str, Any] = _licence(card.get("licence"))
    values |= {"pipeline_tag": task} if task else {}
    values["tags"] = ["keras-proof-zoo", *(format for format in formats if format != "keras")]
    metrics = {str(key): value for key, value in card.get("metrics", {}).items() if _is_finite(value)}
    if metrics:
        values["metrics"] = list(metrics)
    if metrics and task and card.get("data"):
        data = str(card["data"]).partition(":")[0]
        result = {
            "task": {"type": task},
            "dataset": {"type": _identifier(data), "name": data},
            "metrics": [{"type": key, "value": float(value)} for key, value in metrics.items()],
        }
        values["model-index"] = [{"name": str(card.get("title", name)), "results": [result]}]
    lines = [f"{key}: {_flow(value)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def without_header(text: str) -> str:
    """Return a README.md without its header."""
    return re.sub(r"\A---\n.*?\n---\n\s*", "", text, count=1, flags=re.DOTALL)


def pipeline_tag(contract: Contract) -> str | None:
    """Return the task of the Hub that the model's own call does, or None where the contract does not say."""
    endpoint = contract.endpoints[0]
    takes = {tensor.meaning for tensor in endpoint.inputs}
    scores = next((tensor for tensor in endpoint.outputs if tensor.meaning in SCORES), None)
    gives_image = any(tensor.meaning == "image" for tensor in endpoint.outputs)
    if takes == {"image"}:
        if scores is not None:
            return {2: "image-classification", 4: "image-segmentation"}.get(len(scores.shape))
        return "image-to-image" if gives_image else None
    if gives_image and takes <= {"noise", "latent"}:
        return "unconditional-image-generation"
    if takes in ({"text"}, {"token"}) and scores is not None and len(scores.shape) == 2 and contract.labels:
        return "text-classification"
    if "token" in takes and any({"token", "state"} == {t.meaning for t in e.inputs} for e in contract.endpoints):
        return "text-generation"  # a step that takes a token and the state
    if "category" in takes and takes <= {"category", "tensor"}:
        return "tabular-classification" if scores is not None else "tabular-regression"
    return None


def _licence(text: Any) -> dict[str, str]:
    plain = " ".join(str(text or "").split())
    if not plain:
        return {}
    identifier = ALIASES.get(plain.lower(), plain.lower())
    return (
        {"license": identifier}
        if identifier in LICENCES.split()
        else {"license": "other", "license_name": _identifier(plain)}
    )


def _identifier(text: str) -> str:
    """Return a text as the Hub spells identifiers: lower case letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unknown"


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _flow(value: Any) -> str:
    """Return YAML on one line, which is JSON but for the escapes in its strings."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    """Return a double-quoted scalar; <, [ and ] are escaped for viewers that show the header as Markdown."""
    quoted = json.dumps(text, ensure_ascii=False)  # its escapes of pairs of surrogates are not YAML's
    return "".join(c if c.isprintable() and c not in "<[]" else f"\\U{ord(c):08x}" for c in quoted)
