"""Verify bundles and compare model files in CI: a summary, annotations, JUnit and SARIF files, and an exit code.

    FILES="out/bundle model.tflite" REFERENCE=golden.tflite python examples/ci/check.py

Environment: FILES (one a line, or separated by spaces), REFERENCE, TOLERANCE, RUNTIMES, POLICY, KEY, as `action.yml`
describes them; JUNIT and SARIF, paths of reports. Exit code 0 pass, 1 fail, 3 incomplete: something could not be run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

NOT_RUN = "not run"  # what is not required: the row `verify` says whether the bundle passes without it
VERDICTS = {0: "pass", 3: "incomplete"}  # of the exit codes of `export`; others are failures


def export(*words: str) -> tuple[int, dict]:
    """Run a command of `export`; return its exit code and what it printed as JSON."""
    command = [sys.executable, "-m", "export", *words, "--json"]
    process = subprocess.run(command, capture_output=True, text=True)
    try:
        return process.returncode, json.loads(process.stdout)
    except ValueError:
        return process.returncode or 1, {"error": process.stderr.strip()[-500:] or "no answer"}


def verify(bundle: Path) -> list[tuple[str, str, str]]:
    """Return (what, verdict, reason) of the rows of a bundle, of its policy and its attestation."""
    runtimes = [word for name in os.environ.get("RUNTIMES", "").split() for word in ("--runtime", name)]
    code, certificate = export("verify", str(bundle), *runtimes)
    state = dict.fromkeys(("not_run", "unsupported"), NOT_RUN)
    rows = [
        (
            f"{row['artifact']} {row['runtime'] or ''}".strip(),
            state.get(row["state"], row["state"]),
            row["reason"] or "",
        )
        for row in certificate.get("artifacts", ())
    ]
    decisive = [(w, why) for (w, _, why), r in zip(rows, certificate.get("artifacts", ()), strict=False) if decides(r)]
    reason = certificate.get("error") or "; ".join(f"{what}: {why}" for what, why in decisive[:1] if code)
    rows.append(("verify", VERDICTS.get(code, "fail"), reason))
    if policy := os.environ.get("POLICY"):
        code, answer = export("admit", str(bundle), "--policy", policy)
        rows.append(("admit", VERDICTS.get(code, "fail"), str(answer.get("error", ""))))
    if key := os.environ.get("KEY"):
        code, answer = export("attest", str(bundle), "--key", key, "--verify")
        rows.append(("attest", VERDICTS.get(code, "fail"), str(answer.get("error", ""))))
    return rows


def decides(row: dict) -> bool:
    """Return whether a row of a certificate prevents the verdict pass."""
    kinds = {"fail": not row["extra"], "unsupported": row["demanded"], "not_run": row["required"]}
    return kinds.get(row["state"], False)


def compare(file: Path) -> list[tuple[str, str, str]]:
    """Return (what, verdict, reason) of a model file beside the reference."""
    if not (reference := os.environ.get("REFERENCE")):
        return [("compare", "fail", "a model file needs REFERENCE, the file with which it is compared")]
    tolerance = os.environ.get("TOLERANCE", "").strip()
    code, answer = export("compare", reference, str(file), *(("--tolerance", tolerance) if tolerance else ()))
    reason = answer.get("error") or "; ".join(answer.get("findings", ())) or answer.get("verdict", "")
    return [(f"compare with {reference}", VERDICTS.get(code, "fail"), str(reason))]


def write_reports(results: dict[str, list[tuple[str, str, str]]]) -> None:
    """Write the summary of the job, annotations, and the reports that are asked for."""
    rows = [(file, *row) for file, of_file in results.items() for row in of_file]
    lines = ["| file | | verdict | reason |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cell.replace('|', ' ').replace(chr(10), ' ') for cell in row)} |" for row in rows]
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with open(summary, "a", encoding="utf-8") as report:
            report.write("\n".join(lines) + "\n")
    print("\n".join(lines))
    for file, what, verdict, reason in rows:
        if verdict in ("fail", "incomplete") and "GITHUB_ACTIONS" in os.environ:
            message = f"{what}: {reason}".replace("%", "%25").replace("\n", " ")
            print(f"::{'error' if verdict == 'fail' else 'warning'} file={file}::{message}")
    if junit := os.environ.get("JUNIT"):
        suite = ElementTree.Element("testsuite", name="export", tests=str(len(rows)))
        for file, what, verdict, reason in rows:
            case = ElementTree.SubElement(suite, "testcase", classname=file, name=what)
            if verdict != "pass":
                ElementTree.SubElement(case, "failure" if verdict == "fail" else "skipped", message=reason)
        ElementTree.ElementTree(suite).write(junit, encoding="utf-8", xml_declaration=True)
    if sarif := os.environ.get("SARIF"):
        found = [
            {
                "ruleId": what.split()[0],
                "level": "error" if verdict == "fail" else "warning",
                "message": {"text": f"{what}: {reason}"},
                "locations": [
                    {"physicalLocation": {"artifactLocation": {"uri": quote(file)}, "region": {"startLine": 1}}}
                ],
            }
            for file, what, verdict, reason in rows
            if verdict in ("fail", "incomplete")
        ]
        run = {"tool": {"driver": {"name": "keras-proof-zoo export"}}, "results": found}
        schema = "https://json.schemastore.org/sarif-2.1.0.json"
        Path(sarif).write_text(json.dumps({"version": "2.1.0", "$schema": schema, "runs": [run]}, indent=1))


def main() -> int:
    """Check all files; return the exit code."""
    files = [Path(name) for name in os.environ.get("FILES", "").split()] + [Path(name) for name in sys.argv[1:]]
    if not files:
        print("name bundles or model files in FILES", file=sys.stderr)
        return 2
    results = {str(file): verify(file) if (file / "manifest.json").is_file() else compare(file) for file in files}
    write_reports(results)
    verdicts = {verdict for rows in results.values() for _, verdict, _ in rows}
    verdict = next(name for name in ("fail", "incomplete", "pass") if name in verdicts)
    if "GITHUB_OUTPUT" in os.environ:
        attestations = [f"{file}.intoto.jsonl" for file in files if Path(f"{file}.intoto.jsonl").is_file()]
        with open(os.environ["GITHUB_OUTPUT"], "a", encoding="utf-8") as output:
            output.write(f"verdict={verdict}\nattestation={(attestations or [''])[-1]}\n")
    return {"pass": 0, "fail": 1, "incomplete": 3}[verdict]


if __name__ == "__main__":
    sys.exit(main())
