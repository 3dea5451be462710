"""The certificate: one row for every artifact in every runtime, and a verdict; as JSON and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from export.contract import Artifact, Contract
from export.formats.format import sentence
from export.parity.cases import GoldenCase
from export.runtime.execution import ArtifactRun
from zoobase.errors import FAILED, MISSING
from zoobase.notebook import html_table

RESERVED = "pass, with stated reservations"
PASS, FAIL, NOT_RUN, UNSUPPORTED = "pass", "fail", "not_run", "unsupported"
INCOMPLETE = "incomplete"
NOTE, CAUSE = "note", "cause"  # of findings that decide no state
EXIT_CODES = {PASS: 0, RESERVED: 0, FAIL: FAILED, INCOMPLETE: MISSING}


@dataclass(frozen=True)
class ProofRequest:
    """The artifacts to prove, and the data to prove them with."""

    folder: Path  # the bundle or its staging folder
    contract: Contract
    artifacts: Sequence[Artifact]
    cases: Mapping[str, Sequence[GoldenCase]]  # golden cases by endpoint, with the outputs of the reference
    dependency: Mapping[str, object] | None = None  # {"package", "modules"} that define classes of the model, or None
    live: ArtifactRun | None = None  # the run of the reference model, or None; it has a row of its own
    probing: bool = False  # whether an HDF5 file that cannot be loaded is unsupported (at export) or damaged
    demanded: frozenset[str] = field(default_factory=frozenset)  # formats that were requested by name
    images: Path | None = None  # folder for comparison images of endpoints that return images, or None

    @property
    def modules(self) -> Sequence[str]:
        """The modules that define classes of the model."""
        return (self.dependency or {}).get("modules", ())


@dataclass(frozen=True)
class Finding:
    """What one check of an artifact found."""

    text: str  # a sentence or clause
    # `FAIL`, `NOT_RUN` or `UNSUPPORTED`, which decide the state of a row; `NOTE`; or `CAUSE`, which explains a state
    kind: str = FAIL


@dataclass(frozen=True)
class Row:
    """One artifact in one runtime."""

    artifact: str  # path in the bundle, "live model" for the reference itself, "files" for the checksums
    format: str  # a format, or "reference" or "bundle"
    runtime: str | None  # None where nothing runs
    findings: tuple[Finding, ...] = ()  # state, reason and note are concluded from them
    required: bool = False  # whether the bundle is incomplete when this is not_run
    demanded: bool = False  # whether the format was requested by name, so that `unsupported` is a failure
    extra: bool = False  # whether the runtime is optional and does not decide the verdict
    versions: Mapping[str, str] = field(default_factory=dict)  # library -> version of the runtime
    code_dependency: str | None = None  # the package whose code the artifact needs
    seconds: float | None = None  # duration of loading and running
    endpoints: Mapping[str, Any] = field(default_factory=dict)  # figures by endpoint
    # kind -> operators that may answer differently in a call that the proof has not made
    reservations: Mapping[str, list[str]] = field(default_factory=dict)
    # "matched", "of", "unmatched": weights of the model that are in the artifact value by value
    weights: Mapping[str, Any] | None = None
    # name -> number of what the runtime found out besides, such as `arena_bytes`
    facts: Mapping[str, int] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The state: pass, fail, not_run or unsupported."""
        return conclude(self.findings)[0]

    @property
    def reason(self) -> str | None:
        """One sentence, or None if it passed."""
        return conclude(self.findings)[1]

    @property
    def note(self) -> str | None:
        """A remark, or None."""
        return conclude(self.findings)[2]

    @property
    def decides(self) -> bool:
        """Whether it prevents the verdict pass."""
        decisive = {FAIL: not self.extra, UNSUPPORTED: self.demanded, NOT_RUN: self.required}
        return decisive.get(self.state, False)

    @property
    def place(self) -> str:
        """The artifact, and the runtime if there is one."""
        return f"{self.artifact} in {self.runtime}" if self.runtime else self.artifact

    def with_findings(self, *findings: Finding, **changes: Any) -> Self:
        """Return the row with further findings, and other changes."""
        return replace(self, findings=(*self.findings, *findings), **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of parity.json."""
        names = [item.name for item in fields(self)]
        names[names.index("findings") : names.index("findings") + 1] = ["state", "reason", "note"]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        state, reason, note = (data[key] for key in ("state", "reason", "note"))
        findings = ([] if state == PASS else [Finding(reason, state)]) + ([Finding(note, NOTE)] if note else [])
        others = {key: value for key, value in data.items() if key not in ("state", "reason", "note")}
        return cls(**others, findings=tuple(findings))


def conclude(findings: Iterable[Finding]) -> tuple[str, str | None, str | None]:
    """Return state, reason and note of a row: the only place where a state is decided."""
    texts: dict[str, list[str]] = {}
    for finding in findings:
        texts.setdefault(finding.kind, []).append(finding.text)
    note = "; ".join(texts.get(NOTE, ())) or None
    state = next((kind for kind in (FAIL, NOT_RUN, UNSUPPORTED) if kind in texts), PASS)
    if state == PASS:
        return PASS, None, note
    first, *others = texts[state]
    more = f" (and {len(others)} more)" if others else ""
    return state, "; ".join([first + more, *texts.get(CAUSE, ())]), note


@dataclass(frozen=True)
class Certificate:
    """The rows of a proof, with the tolerances and the environment.

    Attributes:
        rows: The rows; "artifacts" in parity.json.
        policy: The tolerances.
        noise_floor: {endpoint: {output: largest difference of the reference from itself}}, measured in this proof.
        environment: Where the proof ran.
        jumps: {endpoint: {case: named rows at which the reference is discontinuous, which are not compared}}.
        request: {"formats", "quantize"}: what the bundle was asked to hold; empty in a certificate of `verify`.
        coverage: What the golden inputs reached in the live model, measured at export; empty if it was not measured.
        examples: {endpoint: {"rows", "batches", "cases"}}: how many rows were compared, in which batch sizes, and the
            names of their cases.
    """

    rows: tuple[Row, ...]
    policy: dict[str, float] = field(default_factory=dict)
    noise_floor: dict[str, dict[str, float]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    jumps: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    request: dict[str, list[str]] = field(default_factory=dict)
    coverage: dict[str, Any] = field(default_factory=dict)
    examples: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return fail if anything failed, incomplete if something required did not run, else a kind of pass."""
        states = {row.state for row in self.rows if row.decides}
        if states & {FAIL, UNSUPPORTED}:
            return FAIL
        if states:
            return INCOMPLETE
        return RESERVED if self.reservations() else PASS

    def reservations(self) -> list[str]:
        """Return a message for every reservation about an artifact that passed."""
        messages = [
            f"{row.artifact}: {sentence(kind, operators)}"
            for row in self.rows
            if row.state == PASS and not row.extra
            for kind, operators in row.reservations.items()
        ]
        return list(dict.fromkeys(messages))

    @property
    def exit_code(self) -> int:
        """Return 0 for pass, also with reservations, 1 for fail, 3 for incomplete."""
        return EXIT_CODES[self.verdict]

    def problems(self) -> list[str]:
        """Return a message for every row that prevents the verdict pass, failures first."""
        rows = sorted((row for row in self.rows if row.decides), key=lambda row: row.state == NOT_RUN)
        return [f"{row.place}: {row.reason}" for row in rows]

    def __repr__(self) -> str:
        return f"Certificate({self.verdict}, {len(self.rows)} rows)"

    def _repr_html_(self) -> str:
        rows = [(row.artifact, row.runtime, row.state, worst_difference(row), row.reason) for row in self.rows]
        columns = ("artifact", "runtime", "state", "largest difference (tolerance)", "reason")
        return html_table(f"Certificate: {self.verdict}", rows, columns)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of parity.json."""
        sections = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "rows"}
        rows = [row.to_json() for row in self.rows]
        return {"schema": 1, "verdict": self.verdict, "artifacts": rows, **sections}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        sections = {key: value for key, value in data.items() if key not in ("schema", "verdict", "artifacts")}
        return cls(tuple(map(Row.from_json, data["artifacts"])), **sections)


def worst_difference(row: Row) -> str:
    """Return the largest difference of a row and its tolerance, in units of the row, as text."""
    # For a quantised file: its lowest signal-to-quantization-noise ratio and the metric drop.
    if any("quantised" in endpoint for endpoint in row.endpoints.values()):
        outputs = [(f, e["budget"]) for e in row.endpoints.values() for f in e["quantised"].values()]
        ratios = [(f["sqnr_db"], budget["sqnr_db"]) for f, budget in outputs if f["sqnr_db"] is not None]
        parts = ["SQNR {:.0f} dB (at least {:.0f})".format(*min(ratios))] if ratios else []
        counts = [f["top1"] for f, _ in outputs if "top1" in f]
        parts += ["top-1 {}/{}".format(*min(counts, key=lambda c: c[0] / max(c[1], 1)))] if counts else []
        parts += [describe_drop(e["evaluation"]) for e in row.endpoints.values() if "evaluation" in e]
        return "; ".join(parts)
    figures = [f for endpoint in row.endpoints.values() for f in endpoint.get("outputs", {}).values()]
    if not figures:
        return ""
    largest = max(figures, key=lambda f: f["max_error"] / f["tolerance"])
    return f"{largest['max_error']:.1e} ({largest['tolerance']:.0e})"


def unmatched_weights(weights: Mapping[str, Any]) -> str:
    """Return how many weights were compared by value, and which were not."""
    names, rest = weights["unmatched"][:3], weights["of"] - weights["matched"] - 3
    more = f" and {rest} more" if rest > 0 else ""
    return (
        f"{weights['matched']} of {weights['of']} weights compared by value; folded into others or quantised: "
        f"{', '.join(names)}{more}"
    )


def describe_drop(drop: Mapping[str, Any]) -> str:
    """Return a metric drop as text."""
    return (
        f"{drop['metric']} {drop['reference']:.4f} -> {drop['value']:.4f}, drop {drop['drop']:+.4f} "
        f"[{drop['low']:+.4f}, {drop['high']:+.4f}] on {drop['examples']} examples"
    )


def describe_examples(examples: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each endpoint: what was compared."""
    return [
        f"compared {f['rows']} rows of {endpoint}, in batches of {', '.join(map(str, f['batches']))} "
        f"({', '.join(name.replace('_', ' ') for name in f['cases'])})"
        for endpoint, f in examples.items()
    ]


def optional_and_absent(rows: Iterable[Row]) -> tuple[list[Row], str | None]:
    """Return the rows that say something, and one line about the runtimes that are not here and nobody asked for."""
    shown, absent = [], {}
    for row in rows:
        if row.state == NOT_RUN and row.extra and row.runtime:
            absent.setdefault(row.runtime, row.reason)
        else:
            shown.append(row)
    return shown, f"not run: {'; '.join(f'{name} ({why})' for name, why in absent.items())}" if absent else None


def describe_coverage(coverage: Mapping[str, Any]) -> list[str]:
    """Return sentences about what a proof reached, for people; empty if it was not measured."""
    if not coverage:
        return []
    parts = [f"{f['read']:,} of {f['rows']:,} rows of {name}" for name, f in coverage["tables"].items()]
    parts += [f"{f['read']:,} of {f['values']:,} values of {name}" for name, f in coverage["vocabulary"].items()]
    if coverage["units"]["all"]:
        parts.append("{active:,} of {all:,} units".format(**coverage["units"]))
    sentences = [f"reached {', '.join(parts)}"] if parts else []
    if coverage["shallow"]:
        sentences.append(f"shallow: {'; '.join(coverage['unreached'])}. Give real inputs (--samples) that reach it")
    return sentences
