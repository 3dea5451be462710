"""The reference as Markdown that can be read where the repository is shown; the site has pages of its own."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples")
SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):\n((?:[ ]{{4}}.*\n?|\n)+)", re.MULTILINE)
ITEM = re.compile(r"^(\*{0,2}[\w.]+(?: \([^)]*\))?): ", re.MULTILINE)


def entry(name: str, value: Callable[..., Any], level: int) -> str:
    """Return a function or a class as Markdown: signature, a link to its source, and its docstring.

    Args:
        name: Its public name.
        value: The function or class.
        level: Level of its heading.
    """
    parts = [f"{'#' * level} {name}", f"```python\n{_signature(name, value)}\n```"]
    parts += [f"[Source]({_source(value)})", _docstring(inspect.getdoc(value) or "")]
    if inspect.isclass(value):
        for method, member in _methods(value):
            shown = [f"**`{method}`**", _docstring(inspect.getdoc(member) or "")]
            if not isinstance(member, property):
                shown.insert(1, f"```python\n{_signature(method, member)}\n```")
            parts += shown
    return "\n\n".join(part for part in parts if part)


def _methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class defines and describes itself."""
    for name, member in vars(cls).items():
        member = getattr(member, "__func__", member)
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)) and member.__doc__:
            yield name, member


def _signature(name: str, value: Any) -> str:
    """Return a signature, a parameter a line if it is long."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    text = f"{name}{signature}"
    if len(text) > 100:
        lines = "".join(f"    {parameter},\n" for parameter in _parameters(signature))
        returned = inspect.formatannotation(signature.return_annotation)
        text = f"{name}(\n{lines})" + ("" if signature.return_annotation is signature.empty else f" -> {returned}")
    text = re.sub(r"(: |-> )'([^'\n]*)'", r"\1\2", text)  # annotations that are strings
    text = re.sub(r"<function (\S+) at 0x\w+>", r"\1", text)  # a default that is a function
    return text.replace("pathlib._local.", "pathlib.").replace("keras.src.models.model.", "keras.")


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    """Yield the parameters of a signature, and the * before those that only have names."""
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    for i, parameter in enumerate(signature.parameters.values()):
        if parameter.kind == parameter.KEYWORD_ONLY and not {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL} & {
            *kinds[:i]
        }:
            yield "*"
        yield str(parameter)


def _source(value: Any) -> str:
    """Return the file of a definition, relative to docs/api."""
    return f"../../{Path(inspect.getsourcefile(inspect.unwrap(value))).relative_to(ROOT)}"


def _docstring(text: str) -> str:
    """Return a docstring in Google style as Markdown."""

    def section(match: re.Match[str]) -> str:
        name, body = match[1], textwrap.dedent(match[2]).strip("\n")
        if name.startswith("Example"):
            return f"**{name}**\n\n```python\n{body}\n```\n\n"
        if name in ("Args", "Attributes", "Raises"):
            body = ITEM.sub(r"- `\1`: ", body)
        return f"**{name}**\n\n{body}\n\n"

    return SECTION.sub(section, f"{text}\n").strip()
