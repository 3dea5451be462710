"""What SageMaker's TensorFlow Serving container calls before and after the model: inference.py of an archive.

Content types: application/json is a request of TF Serving's REST API, passed on as it is; image/* is one image file,
and text/plain one text in UTF-8, where SIGNATURES names a signature of the model for them.
"""

import base64
import json
from typing import Any

# {content type: (signature of one file or text, in how many lists it stands)}; `export inspect BUNDLE` has the names
SIGNATURES = {"image/*": ("bytes", 0)}


def input_handler(data: Any, context: Any) -> str:
    """Return the request for TF Serving."""
    content = data.read()
    given = (context.request_content_type or "application/json").partition(";")[0].strip().lower()
    kind = "image/*" if given.startswith("image/") or given == "application/x-image" else given
    if kind == "application/json":
        return content.decode("utf-8")
    if kind not in SIGNATURES:
        known = ", ".join(["application/json", *SIGNATURES])
        raise ValueError(f"content type {given} is not supported; send one of: {known}")
    text = kind == "text/plain"
    instance = content.decode("utf-8") if text else {"b64": base64.b64encode(content).decode("ascii")}
    name, depth = SIGNATURES[kind]
    for _ in range(depth):
        instance = [instance]
    return json.dumps({"signature_name": name, "instances": [instance]})


def output_handler(response: Any, context: Any) -> tuple[bytes, str]:
    """Return TF Serving's answer and its content type."""
    if response.status_code != 200:
        raise ValueError(response.content.decode("utf-8"))
    return response.content, "application/json"
