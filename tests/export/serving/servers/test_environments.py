"""Environments of servers: what pip cannot install leaves nothing."""

import pytest

from export.runners.environments import Environment
from export.runtime.installation import install
from export.serving.servers import builtin, kserve, local
from export.serving.servers.environments import ENVIRONMENTS
from tests.export.test_cli import run
from zoobase.errors import ExportError, Unavailable


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    return tmp_path


def test_what_pip_cannot_install_leaves_nothing(empty_cache):
    environment = Environment("none", ("./no-such-file.whl",), "")
    with pytest.raises(Unavailable, match=r"^none was not installed: pip failed: .*no-such-file"):
        install(environment)
    assert not environment.installed
    assert not environment.folder.exists()


def test_an_installation_that_was_killed_is_repeated(empty_cache):
    environment = Environment("none", ("pip",), "")
    (environment.folder / "lib").mkdir(parents=True)
    (environment.folder / "lib" / "rest").touch()
    assert not environment.installed
    install(environment)
    assert environment.installed
    assert environment.python.exists()
    assert not (environment.folder / "lib" / "rest").exists()
    install(environment, lambda text: pytest.fail("it is installed twice"))


def test_other_requirements_are_another_environment():
    assert Environment("a", ("x==1",), "").folder != Environment("a", ("x==2",), "").folder
    assert len({e.folder for e in ENVIRONMENTS.values()}) == len(ENVIRONMENTS)


def test_a_server_that_is_not_installed_names_its_installation(empty_cache, bundles):
    assert local.choose() is builtin
    with pytest.raises(Unavailable, match="--install triton"):
        local.choose("triton")
    result = run("serve", bundles("two_by_two").path, "--server", "kserve")
    assert result.returncode == 3
    assert result.stderr.endswith("python -m export servers --install kserve\n")
    model = local.model_of(bundles("two_by_two").path)
    with pytest.raises(ExportError, match="KServe has no --memory"), local.serving(model, kserve, 1, memory=1 << 30):
        pass


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("serve", "missing"), "missing is neither a bundle nor a folder of versions"),
        (("serve", "missing", "--page"), "missing is not a bundle, for which alone there are pages"),
        (("servers", "--install", "ksreve"), "unknown server 'ksreve'; did you mean kserve?"),
        (("serve", "missing", "--grpc-port", "1"), "there is no option --grpc-port any more: --server tensorflow_mod"),
        (("watch", "missing"), "there is no command watch any more: python -m export drift"),
        (("publis", "a"), "unknown command 'publis'; did you mean publish or push"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, text, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORFLOW_MODEL_SERVER", "/bin/true")
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {text}"), result.stderr
