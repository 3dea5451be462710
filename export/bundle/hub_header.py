"""The YAML header of a bundle's README.md, by which the Hugging Face Hub lists and filters models.

Source: https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

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


def header(card: Mapping[str, Any], formats: Iterable[str]) -> str:
    """Return the header with its delimiters: licence and tags; `card` as of `export.bundle.card`."""
    # No `library_name`: "keras" promises `keras.saving.load_model("hf://...")`, which cannot read the bundle.
    licence = " ".join(str(card.get("licence") or "").split())
    identifier, lines = ALIASES.get(licence.lower(), licence.lower()), []
    if identifier in LICENCES.split():
        lines = [f"license: {json.dumps(identifier)}"]
    elif licence:
        name = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-.") or "unknown"
        lines = ['license: "other"', f"license_name: {json.dumps(name)}"]
    lines.append(f"tags: {json.dumps(['keras-proof-zoo', *(format for format in formats if format != 'keras')])}")
    return "\n".join(["---", *lines, "---"])


def without_header(text: str) -> str:
    """Return a README.md without its header."""
    return re.sub(r"\A---\n.*?\n---\n\s*", "", text, count=1, flags=re.DOTALL)
