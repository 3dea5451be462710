"""The layering: imports run one way, between packages, subpackages and modules; a package has at most 14 modules.

Every import counts, those inside functions and under TYPE_CHECKING too. `python -m tests.test_imports` prints what the
graph has.
"""

import ast
import functools
from pathlib import Path

import pytest

from tests.commands import run

pytestmark = pytest.mark.extended  # of the repository, not of what the packages do

ROOT = Path(__file__).parent.parent

# What each package may import of the others.
PACKAGES = {
    "zoobase": set(),
    "pipelines": {"zoobase"},
    "export": {"zoobase"},
    "zoo": {"zoobase", "pipelines", "export"},
}

# The layers of each package from the top down: a file imports from its own layer and from those below. A loose file at
# the root of a package is a layer of its own, and there is no other loose file than these.
LAYERS = {
    "zoobase": [
        *("ports", "notebook", "__init__", "importing", "console", "plugins", "hdf5", "files", "requirements"),
        *("errors",),
    ],
    "pipelines": [
        *("__main__", "cli", "__init__", "catalogue", "datasets", "adapters", "augment", "pairs"),
        *("sound", "images", "text", "worker_shards", "feeding", "series", "tabular", "shards", "sources"),
        *("splits", "dataset", "stateless_random"),
    ],
    "export": [
        *("__main__", "__init__", "cli", "serving", "exporter", "verifier", "certifier", "versions", "attestation"),
        *("bundle", "proof", "inputs", "artifacts", "parity", "formats", "runtime", "contract", "runners"),
        *("protocol",),
    ],
    "zoo": [
        *("__main__", "__init__", "tune", "search", "compress", "device", "train"),
        *("evaluate", "predict", "sample", "stylize", "export", "compare", "runs", "info", "prediction"),
        *("models", "tasks", "training", "candidates", "compression", "distribution", "detection", "evaluation"),
        *("modeling", "weights", "cli", "core"),
    ],
}

# What imports a module by its name, and the only files that may compute that name.
COMPUTING = {"import_module", "__import__", "resolve_name", "spec_from_file_location", "exec_module"}
LOADERS = {
    "export/protocol/fork_server.py": "keeps optional packages of Keras from being imported",
    "zoobase/plugins.py": "models, datasets, commands and code of the user",
    "zoobase/importing.py": "tables of constants, which `imported` reads",
    "export/protocol/runner.py": "the code of a model that is not self-contained, where zoobase is not imported",
}

CATALOGUES = {"zoo/models", "pipelines/datasets", "zoo"}  # one file a model, a dataset, a command
MOST = 14  # files of a layer


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, modules: set[str]) -> set[str]:
    """Return the modules of ours that a file names, whether it means a module or a name in it.

    An import is an import however it is spelled: statements, also those of which `lazy_attributes` makes attributes,
    and `import_module("constant")`.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            names = loaded(node)
        else:
            continue
        for name in names:
            while name and name not in modules:
                name = name.rpartition(".")[0]
            found |= {name} if name else set()
    return found - {module_of(path)}


def loaded(call: ast.Call) -> list[str]:
    """Return the modules that a call imports by constants: `import_module("a.b")`."""
    if ast.unparse(call.func).rpartition(".")[2] in COMPUTING and call.args and isinstance(call.args[0], ast.Constant):
        return [str(call.args[0].value)]
    return []


def hidden(text: str) -> list[str]:
    """Return the lines that import a module of a computed name, or reach one through `sys.modules`."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        is_call = isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in COMPUTING
        computed = is_call and not (node.args and isinstance(node.args[0], ast.Constant))
        table = isinstance(node, ast.Subscript | ast.Attribute) and ast.unparse(node.value) == "sys.modules"
        if computed or table:
            lines.append(f"line {node.lineno}: {ast.unparse(node)}")
    return lines


@functools.cache
def read_graph() -> dict[str, set[str]]:
    """Return {module: modules that it imports} of the three packages."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    modules = {module_of(path) for path in files}
    return {module_of(path): imported(path, modules) for path in files}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def levels(graph: dict[str, set[str]], package: str) -> int:
    """Return the number of modules in the longest chain of imports inside a package without circles."""
    known: dict[str, int] = {}

    def level(module: str) -> int:
        if module not in known:
            inside = [other for other in graph[module] if other.partition(".")[0] == package]
            known[module] = 1 + max(map(level, inside), default=0)
        return known[module]

    return max(level(module) for module in graph if module.partition(".")[0] == package)


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def test_no_circle():
    assert circles(read_graph()) == []


def test_no_import_is_hidden():
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    names = {str(path.relative_to(ROOT)): hidden(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in names.items() if lines and name not in LOADERS} == {}
    assert LOADERS.keys() <= names.keys()


@pytest.mark.parametrize(
    "line",
    [
        "import_module(f'zoo.{name}')",
        "importlib.import_module(MODULES[name])",
        "__import__(name)",
        "pkgutil.resolve_name(name)",
        "family = sys.modules[builder.__module__]",
        "sys.modules.get(name)",
    ],
)
def test_a_back_door_is_seen(line):
    assert hidden(line)
    assert not hidden("import_module('zoo.tasks'); 'ray' in sys.modules; set(sys.modules)")


def test_the_imports_for_type_checkers_and_of_a_constant_count(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_imports.ROOT", tmp_path)
    block = "if TYPE_CHECKING:\n    from zoo import train\n    from zoo.predictor import load"
    (tmp_path / "file.py").write_text(f'{block}\nimportlib.import_module("zoo.tasks")\n')
    assert imported(tmp_path / "file.py", {"zoo.predictor", "zoo.train", "zoo.tasks"}) == {
        "zoo.predictor",
        "zoo.train",
        "zoo.tasks",
    }


def test_packages_and_their_layers_import_one_way():
    places = {name: {layer: i for i, layer in enumerate(layers)} for name, layers in LAYERS.items()}
    wrong = []
    for module, other in ((module, other) for module, others in read_graph().items() for other in sorted(others)):
        ours, theirs = module.partition(".")[0], other.partition(".")[0]
        inside = ours == theirs and places[ours][room_of(other)] >= places[ours][room_of(module)]
        if not inside and theirs not in PACKAGES[ours]:
            wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_a_room_holds_a_dozen_files():
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    counts = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in counts.items() if count > MOST and name not in CATALOGUES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_loose_file_is_a_command_or_a_public_entry(package):
    loose = {path.stem for path in (ROOT / package).glob("*.py")}
    layers = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert loose | layers == set(LAYERS[package])


@pytest.mark.parametrize("name", ["export.py", "pipelines/__init__.py"])
def test_a_module_that_hides_ours_is_named(name, tmp_path):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path.append({str(ROOT)!r})\nimport zoo\n")
    failed = run(str(script), fresh=True)
    assert failed.returncode == 1
    expected = f"ImportError: {file} hides the package {name.partition('.')[0].partition('/')[0]!r} of keras-proof-zoo"
    assert expected in failed.stderr.splitlines()[-1]


def test_other_modules_hide_nothing(tmp_path):
    (tmp_path / "exports.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path.append({str(ROOT)!r})\nimport zoo\nprint(zoo.__file__)\n")
    assert run(str(script), fresh=True).stdout.strip().startswith(str(ROOT))


if __name__ == "__main__":
    for name in PACKAGES:
        inside = {m: {o for o in others if o.partition(".")[0] == name} for m, others in read_graph().items()}
        inside = {m: others for m, others in inside.items() if m.partition(".")[0] == name}
        knots = circles(inside)
        height = f"{levels(read_graph(), name)} levels" if not knots else f"circles {knots}"
        print(f"{name}: {len(inside)} modules, {sum(map(len, inside.values()))} imports, {height}")
