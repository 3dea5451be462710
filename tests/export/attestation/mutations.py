"""Seeded mutations of a signed bundle, none of which a verifier may accept.

`python -m tests.export.attestation.mutations` exports two small models, makes 1,000 mutations and writes the table of
docs/concepts/attestation.md.
"""

import base64
import contextlib
import io
import json
import random
import runpy
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from export.attestation import envelope, statement
from export.attestation.policy import Policy, admit
from export.bundle.layout import read_manifest, seal
from zoobase.errors import KnownError

SCRIPT = Path(__file__).parents[3] / "examples" / "verify_without_us.py"
PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "attestation.md"
START, END = "<!-- mutations -->\n", "<!-- end of mutations -->\n"


def write_keys(folder):
    """Write two private keys and their public keys; return private, public, other private, other public."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    paths = []
    for name in ("key", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
        for suffix, content in (("pem", private), ("pub", public)):
            paths.append(folder / f"{name}.{suffix}")
            paths[-1].write_bytes(content)
    return paths


class Ground:
    """A signed bundle, another one and an older state of the first."""

    def __init__(self, folder, bundle, other, keys):
        self.key, self.public, self.foreign, _ = keys
        self.bundle = shutil.copytree(bundle, folder / "bundle")
        self.other = shutil.copytree(other, folder / "other")
        older = shutil.copytree(bundle, folder / "older")
        (older / "README.md").write_text("Another card.\n")
        seal(older, read_manifest(older))
        self.sources = [self.other, older]
        for path in (self.bundle, *self.sources):
            envelope.sign(path, statement.statements_of(path), self.key)
        self.envelopes = envelope.envelopes_of(self.bundle)
        self.roots = (self.bundle, self.envelopes)
        self.content = self.read()

    def read(self):
        paths = [p for root in self.roots for p in (root.rglob("*") if root.is_dir() else [root])]
        return {path: path.read_bytes() for path in paths if path.is_file()}

    def restore(self):
        now = self.read()
        for path in now.keys() - self.content.keys():
            path.unlink()
        for path, content in self.content.items():
            if now.get(path) != content:
                path.write_bytes(content)

    def files(self):
        return [path for path in self.content if self.bundle in path.parents]


# === Mutations: (random.Random, Ground) -> None ===


def flip_byte(rng, path):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    path.write_bytes(content)


def byte(rng, ground):
    flip_byte(rng, rng.choice([path for path in ground.files() if path.stat().st_size]))


def length(rng, ground):
    path = rng.choice([path for path in ground.files() if path.stat().st_size])
    content = path.read_bytes()
    path.write_bytes(rng.choice([content[: rng.randrange(len(content))], content + rng.randbytes(rng.randint(1, 9))]))


def file_set(rng, ground):
    path = rng.choice(ground.files())
    name = f"{rng.randrange(1000)}{path.suffix}"
    other = path.with_name(name)
    rng.choice([path.unlink, lambda: path.rename(other), lambda: other.write_bytes(b"1")])()


def exchanged(rng, ground):
    one, two = rng.sample(ground.files(), 2)
    theirs = [p for p in ground.files() if (ground.other / p.relative_to(ground.bundle)).is_file()]
    theirs = [p for p in theirs if (ground.other / p.relative_to(ground.bundle)).read_bytes() != p.read_bytes()]
    if rng.random() < 0.5:
        path = rng.choice(theirs)
        path.write_bytes((ground.other / path.relative_to(ground.bundle)).read_bytes())
    elif (contents := (one.read_bytes(), two.read_bytes()))[0] != contents[1]:
        one.write_bytes(contents[1])
        two.write_bytes(contents[0])
    else:
        flip_byte(rng, ground.bundle / "parity.json")


def replayed(rng, ground):
    """A certificate, or the envelopes, of another bundle or of an older state of this one; sums made to fit."""
    source = rng.choice(ground.sources)
    if rng.random() < 0.5:
        ground.envelopes.write_bytes(envelope.envelopes_of(source).read_bytes())
    else:
        lines = envelope.envelopes_of(source).read_text().splitlines(keepends=True)
        own = ground.envelopes.read_text().splitlines(keepends=True)
        own[rng.randrange(len(own))] = rng.choice(lines)
        ground.envelopes.write_text("".join(own))
    if rng.random() < 0.5:
        shutil.copyfile(ground.other / "parity.json", ground.bundle / "parity.json")
        seal(ground.bundle, read_manifest(ground.bundle))


def edit(rng, value):
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value))
        return value | {key: edit(rng, value[key])}
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return [*value[:at], edit(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + rng.choice([-1, 1, 0.5])
    return rng.choice([text for text in ("pass", "fail", "0" * 64, None, 1) if text != value])


def verdict(rng, ground):
    """Edit the certificate and make the sums fit, or edit what the envelopes say."""
    if rng.random() < 0.5:
        path = ground.bundle / "parity.json"
        data = json.loads(path.read_text())
        data = data | {"verdict": "incomplete"} if rng.random() < 0.5 else edit(rng, data)
        path.write_text(json.dumps(data, indent=1))
        seal(ground.bundle, read_manifest(ground.bundle))
        return
    lines = [json.loads(line) for line in ground.envelopes.read_text().splitlines()]
    line = rng.choice(lines)
    payload = edit(rng, json.loads(base64.b64decode(line["payload"])))
    line["payload"] = base64.b64encode(statement.canonical(payload)).decode()
    ground.envelopes.write_text("".join(json.dumps(line) + "\n" for line in lines))


def another_key(rng, ground):
    """Everything made to fit and signed anew, with another key; it may claim to be the right one."""
    keyid = json.loads(ground.envelopes.read_text().splitlines()[0])["signatures"][0]["keyid"]
    if rng.random() < 0.5:
        (ground.bundle / "labels.txt").write_text(str(rng.random()))
        seal(ground.bundle, read_manifest(ground.bundle))
    envelope.sign(ground.bundle, statement.statements_of(ground.bundle), ground.foreign)
    if rng.random() < 0.5:
        lines = [json.loads(line) for line in ground.envelopes.read_text().splitlines()]
        for line in lines:
            line["signatures"][0]["keyid"] = keyid
        ground.envelopes.write_text("".join(json.dumps(line) + "\n" for line in lines))


def envelope_bytes(rng, ground):
    lines = ground.envelopes.read_text().splitlines(keepends=True)
    at = rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        flip_byte(rng, ground.envelopes)
    elif kind == 1:
        ground.envelopes.write_text("".join(lines[:at] + lines[at + 1 :]))
    elif kind == 2:
        ground.envelopes.write_text("".join([*lines, lines[at]]))
    elif kind == 3:  # the same, spelled otherwise
        lines[at] = json.dumps(json.loads(lines[at]), separators=(",", ":")) + "\n"
        ground.envelopes.write_text("".join(lines))
    else:
        content = ground.envelopes.read_bytes()
        ground.envelopes.write_bytes(content[: rng.randrange(len(content))])


KINDS = {
    "a byte of a file": byte,
    "a file cut or longer": length,
    "a file added, removed or renamed": file_set,
    "files exchanged, in the bundle or with another": exchanged,
    "certificate or envelope of another or older bundle": replayed,
    "verdict or figure edited, sums made to fit": verdict,
    "signed anew with another key": another_key,
    "envelope: byte, line dropped, doubled or respelled, cut": envelope_bytes,
}


def accepted_by_us(ground):
    try:
        admit(ground.bundle, Policy(signers=[ground.public]))
    except KnownError:
        return False
    return True


def accepted_without_us(ground):
    words = [str(SCRIPT), str(ground.bundle), str(ground.public)]
    with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_path(str(SCRIPT))
        except SystemExit as ended:
            return not ended.code
        except Exception:  # a traceback is an exit code, too
            return False
    return True


def run(ground, count, seed=0):
    """Return rows (kind, mutations, accepted by us, accepted without us) and the seconds of each check."""
    rows, seconds = {kind: [0, 0, 0] for kind in KINDS}, []
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        KINDS[kind](random.Random(f"{seed} {number}"), ground)
        assert ground.read() != ground.content, f"mutation {number} ({kind}) changes nothing"
        start = time.perf_counter()
        ours = accepted_by_us(ground)
        seconds.append(time.perf_counter() - start)
        rows[kind] = [a + b for a, b in zip(rows[kind], (1, ours, accepted_without_us(ground)), strict=True)]
        ground.restore()
    return rows, seconds


def to_table(rows):
    lines = ["| mutation | made | accepted by `export admit` | accepted by the thirty lines |"]
    lines += ["|---|---|---|---|", *(f"| {kind} | {' | '.join(map(str, counts))} |" for kind, counts in rows.items())]
    total = [sum(counts) for counts in zip(*rows.values(), strict=True)]
    return "\n".join([*lines, f"| all | {' | '.join(f'{n:,}' for n in total)} |"]) + "\n"


def main():
    from export import export_model
    from tests.export.conftest import create

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("two_by_two", "functional_cnn"):
            model, contract = create(name)
            export_model(model, folder / name, contract=contract)
        ground = Ground(folder, folder / "two_by_two", folder / "functional_cnn", write_keys(folder))
        rows, seconds = run(ground, 1000)
    page = PAGE.read_text()
    head, rest = page.split(START)
    PAGE.write_text(head + START + to_table(rows) + END + rest.split(END)[1])
    print(to_table(rows) + f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s")


if __name__ == "__main__":
    main()
