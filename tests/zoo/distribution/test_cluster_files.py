"""The files of examples/cluster: what they run gives every worker its TF_CONFIG; checked by Ray's schema.

`scontrol`, `srun` and `python` are replaced by scripts, because no cluster is here; docs/how-to/distribute.md says
which checks were run once on real ones.
"""

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.cluster_fields import check_manifest
from zoo import cluster
from zoo.distribution.replicas import read_environment
from zoobase.errors import UsageError

CLUSTER = Path(__file__).parents[3] / "examples" / "cluster"
PYTHON = '#!/bin/bash\necho "$TF_CONFIG" >> "$RECORD"\necho "$@" >> "$RECORD"\n'


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a command with other programs, and returns what `python` got."""

    def run(*words, programs=(), **environment):
        for name, script in {"python": PYTHON, **dict(programs)}.items():
            (tmp_path / name).write_text(script)
            (tmp_path / name).chmod(0o755)
        environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RECORD": str(tmp_path / "record")}
        subprocess.run(words, env=environment, check=True, cwd=tmp_path, timeout=60)
        return (tmp_path / "record").read_text().splitlines()

    return run


def check_workers(lines, addresses, monkeypatch):
    """Check the lines `TF_CONFIG`, arguments of each worker."""
    indices = []
    for config, arguments in zip(lines[::2], lines[1::2], strict=True):
        monkeypatch.setenv("TF_CONFIG", config)
        workers, index = read_environment()
        assert workers == len(addresses)
        assert json.loads(config)["cluster"]["worker"] == addresses
        assert arguments.startswith("-m zoo.train fashion_mnist --out /")
        indices.append(index)
    return indices


@pytest.mark.parametrize(("kind", "file"), [k for k in cluster.KINDS.items() if k[0] != "dockerfile"])
def test_the_examples_are_what_the_command_writes(kind, file):
    assert (CLUSTER / file).read_text() == cluster.run(kind, "fashion_mnist")


@pytest.mark.parametrize("kind", ["jobset", "rayjob"])
def test_manifests_have_fields_of_the_published_schema(kind, monkeypatch):
    monkeypatch.setattr(cluster, "_command", lambda source: "python -m zoo.train mnist --set 'model.units=[8, \"x\"]'")
    manifest = check_manifest(cluster.run(kind, "mnist", workers=3, image="me/zoo:1", cpus=2, memory="4Gi"))
    text = json.dumps(manifest)
    assert "--set 'model.units=[8, " in text
    assert text.count("me/zoo:1") == {"jobset": 1, "rayjob": 2}[kind]
    if kind == "rayjob":
        (group,) = manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == 3
        assert "--ray auto --workers 3 --out /shared/run" in manifest["spec"]["entrypoint"]
    with pytest.raises(AssertionError, match="is not a field of the schema"):
        check_manifest(text.replace('"spec": {', '"spec": {"replica": 3, ', 1))
    with pytest.raises(AssertionError, match="is 'true'"):
        check_manifest(json.dumps(manifest).replace(": 3", ': "true"'))


def test_a_run_is_repeated_with_its_own_settings(trained):
    text = cluster.run("slurm", trained("mnist"))
    assert "exec python -m zoo.train " in text
    with pytest.raises(UsageError, match="unknown model"):
        cluster.run("slurm", "mnits")


def test_the_settings_of_a_slurm_job_may_have_quotes(run, monkeypatch):
    monkeypatch.setattr(cluster, "_command", lambda source: "python -m zoo.train mnist --set 'model.name=\"a b\"'")
    programs = {"scontrol": "#!/bin/bash\necho node1\n", "srun": '#!/bin/bash\nSLURM_PROCID=0 "${@:2}"\n'}
    words = ("bash", "-c", cluster.run("slurm", "mnist", workers=1))
    lines = run(*words, programs=programs, SLURM_JOB_NODELIST="node1", SLURM_SUBMIT_DIR="/shared")
    assert lines[1] == '-m zoo.train mnist --set model.name="a b" --out /shared/run'


def test_what_the_image_copies_is_in_a_checkout():
    lines = cluster.run("dockerfile", "mnist").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    root = CLUSTER.parent.parent
    assert {"setup.cfg", "zoo", "export", "requirements/3.11.txt"} <= {*copied}
    assert all((root / name).exists() for name in copied)
    assert lines[2].startswith("FROM python:3.11.")


def test_a_job_set_names_its_pods(run, monkeypatch):
    job_set = yaml.safe_load((CLUSTER / "jobset.yaml").read_text())
    (job,) = job_set["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    (workers,) = (int(variable["value"]) for variable in container["env"] if variable["name"] == "WORKERS")
    assert workers == spec["completions"] == spec["parallelism"]
    names = [f"{job_set['metadata']['name']}-{job['name']}-0-{index}" for index in range(workers)]
    addresses = [f"{name}.{job_set['metadata']['name']}:2222" for name in names]
    lines = []
    for index in range(workers):
        lines = run(*container["command"], WORKERS=str(workers), JOB_COMPLETION_INDEX=str(index))
    assert check_workers(lines, addresses, monkeypatch) == list(range(workers))
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert lines[1].split()[-1].startswith(mounts["shared"])


def test_a_slurm_job_names_its_nodes(run, monkeypatch):
    programs = {
        "scontrol": '#!/bin/bash\n[ "$*" = "show hostnames node[1-3]" ] && printf "node1\\nnode2\\nnode3\\n"\n',
        "srun": '#!/bin/bash\nfor i in 0 1 2; do SLURM_PROCID=$i "${@:2}"; done\n',
    }
    words = ("bash", str(CLUSTER / "train.slurm"))
    lines = run(*words, programs=programs, SLURM_JOB_NODELIST="node[1-3]", SLURM_SUBMIT_DIR="/shared")
    assert check_workers(lines, ["node1:2222", "node2:2222", "node3:2222"], monkeypatch) == [0, 1, 2]


def test_a_ray_cluster_has_the_form_that_ray_reads():
    ray = pytest.importorskip("ray")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    cluster = yaml.safe_load((CLUSTER / "ray-cluster.yaml").read_text())
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError, match="min_workers"):
        jsonschema.validate(cluster | {"min_workers": 3}, schema)
