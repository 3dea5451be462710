"""The log of a base path has everything that was done there, and shows what was changed or cut."""

from __future__ import annotations

import functools
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from export import publish
from export.attestation import envelope, log
from export.attestation.statement import canonical
from export.serving import rollout
from export.serving.rollout import promote, retire, rollback
from zoobase.errors import CheckFailed, Unavailable

pytestmark = pytest.mark.needs("attestation")


@pytest.fixture
def base(bundles, tmp_path):
    """Return a base path with a log of every action."""
    source, folder = bundles("two_by_two").path, tmp_path / "served"
    publish(source, folder)
    for _ in range(2):
        publish_canary(source, folder, 0.1)
        promote(folder)
    rollback(folder)
    retire(folder, keep=1)
    return folder


publish_canary = functools.partial(rollout.publish_canary, poll_seconds=0)  # no server reads it


def test_it_has_every_action(base):
    entries = log.verify(base)
    assert [(e["action"], *e["versions"]) for e in entries] == [
        ("published", "1"),
        ("published", "2"),
        ("canary", "2"),
        ("promoted", "2"),
        ("published", "3"),
        ("canary", "3"),
        ("promoted", "3"),
        ("published", "4"),
        ("rolled back", "2"),
        ("retired", "3"),
    ]
    assert entries[-2]["labels"] == {"stable": 2, "canary": None}
    assert all(e["by"] for e in entries)
    assert all(len(d) == 64 for e in entries if e["action"] == "published" for d in e["versions"].values())


def test_every_cut_and_every_edit_is_found(base, keys):
    path = base / log.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for count in range(len(lines)):
        path.write_bytes(b"".join(lines[:count]))
        with pytest.raises(CheckFailed):
            log.verify(base)
    for at, line in enumerate(lines):
        entry = json.loads(line) | {"by": "somebody"}
        path.write_bytes(b"".join([*lines[:at], canonical(entry) + b"\n", *lines[at + 1 :]]))
        if at < len(lines) - 1:
            with pytest.raises(CheckFailed, match=f"line {at + 2} of"):
                log.verify(base)
    path.write_bytes(b"".join(lines))
    log.sign(base, keys[0])
    assert log.verify(base, [keys[1]])
    path.write_bytes(b"".join([*lines[:-1], canonical(json.loads(lines[-1]) | {"by": "somebody"}) + b"\n"]))
    assert log.verify(base)  # the last line has none after it: that is what the signature is for
    with pytest.raises(CheckFailed, match=r"is not what was signed: log\.jsonl was changed"):
        log.verify(base, [keys[1]])
    path.write_bytes(b"".join(lines))
    log.append(base, "canary", [4])
    with pytest.raises(CheckFailed, match="was changed"):
        log.verify(base, [keys[1]])


def test_what_is_in_the_folder_must_be_in_the_log(base, bundles):
    newest = base / "4"
    shutil.copytree(newest, base / "9")
    with pytest.raises(CheckFailed, match=r"version 9 is in .*, and the log does not have it"):
        log.verify(base)
    shutil.rmtree(base / "9")
    sums = newest / "assets.extra" / "SHA256SUMS"
    content = sums.read_text()
    sums.write_text(content.replace("a", "b"))
    with pytest.raises(CheckFailed, match=r"version 4 of .* is not the one that was published"):
        log.verify(base)
    sums.write_text(content)
    (base / "rollout" / "rollout.json").write_text('{"stable": 4, "canary": null}')
    with pytest.raises(CheckFailed, match="has the labels"):
        log.verify(base)
    shutil.rmtree(base / "rollout")
    shutil.rmtree(newest)
    with pytest.raises(CheckFailed):
        log.verify(base)


def test_publishers_at_once_write_one_chain(bundles, tmp_path):
    source, folder = bundles("two_by_two").path, tmp_path / "served"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: publish(source, folder), range(8)))
    assert sorted(int(v) for e in log.verify(folder) for v in e["versions"]) == list(range(1, 9))


def test_a_line_of_a_killed_process_is_replaced(bundles, tmp_path):
    source, folder = bundles("two_by_two").path, tmp_path / "served"
    publish(source, folder)
    with (folder / log.NAME).open("ab") as file:
        file.write(b'{"action": "publ')
    with pytest.raises(CheckFailed, match="ends in the middle of a line"):
        log.verify(folder)
    publish(source, folder)
    assert len(log.verify(folder)) == 2


def test_no_log(tmp_path, keys):
    with pytest.raises(Unavailable, match="there is no log"):
        log.verify(tmp_path)
    with pytest.raises(Unavailable):
        log.sign(tmp_path, keys[0])
    assert not envelope.envelopes_of(tmp_path / log.NAME).exists()
