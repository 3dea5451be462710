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
from zoo.distribution.replicas import read_environment

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


@pytest.mark.parametrize("file", ["jobset.yaml", "rayjob.yaml"])
def test_manifests_have_fields_of_the_published_schema(file):
    manifest = check_manifest((CLUSTER / file).read_text())
    text = json.dumps(manifest)
    with pytest.raises(AssertionError, match="is not a field of the schema"):
        check_manifest(text.replace('"spec": {', '"spec": {"replica": 3, ', 1))
    with pytest.raises(AssertionError, match="is 'true'"):
        check_manifest(text.replace(": 4", ': "true"', 1))
    if file == "rayjob.yaml":
        (group,) = manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == 4
        assert "ray_train.py 4 /shared/run fashion_mnist" in manifest["spec"]["entrypoint"]


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
