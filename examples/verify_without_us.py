"""Check a bundle with packages of others only: signature, every file, verdict.

pip install 'securesystemslib[crypto]'; python examples/verify_without_us.py BUNDLE KEY.pub
"""

import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

CERTIFICATE = "https://keras-proof-zoo.invalid/attestation/certificate/v1"
target, key = Path(sys.argv[1]), SSlibKey.from_crypto(load_pem_public_key(Path(sys.argv[2]).read_bytes()))
paths = [p for p in target.rglob("*") if p.is_symlink() or not p.is_dir()]
files = {str(p.relative_to(target)): hashlib.sha256(p.read_bytes()) for p in paths}
files = {name: digest.hexdigest() for name, digest in files.items()}
*lines, end = Path(f"{target}.intoto.jsonl").read_bytes().decode("ascii").split("\n")
whole, predicates, digests = not end and not any(p.is_symlink() for p in paths), {}, {}
for line in lines:
    envelope = Envelope.from_dict(json.loads(line))
    envelope.verify([key], 1)  # raises if the signature does not hold
    statement, digest = json.loads(envelope.payload), hashlib.sha256(envelope.payload).hexdigest()
    whole &= json.dumps(envelope.to_dict()) == line and statement["predicateType"] not in predicates
    whole &= {s["name"]: s["digest"]["sha256"] for s in statement["subject"]} == files
    predicates[statement["predicateType"]], digests[statement["predicateType"]] = statement["predicate"], digest
if whole:
    whole = {**predicates[CERTIFICATE]["statements"], CERTIFICATE: digests[CERTIFICATE]} == digests
verdict = predicates[CERTIFICATE]["verdict"]
print(f"{target}: {verdict if whole else 'not what was signed'}")
sys.exit(not whole or not verdict.startswith("pass"))
