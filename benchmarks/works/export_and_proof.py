"""What the proof costs: our export with its proof against Keras' own export calls and one reload of each file."""

from benchmarks.benchmark import Contender, Goal, Work

NAMES = ("small", "mobilenet_v2", "resnet50")  # of benchmarks/timing/networks.py
OURS, PEER = "export and proof, {}", "Keras' export and a reload each, {}"

WORK = Work(
    title="Five files of a Keras model: written and proven, against written and loaded once",
    unit="seconds",
    higher_is_better=False,
    contenders=tuple(
        Contender(who.format(name), script, (name,))
        for name in NAMES
        for who, script in ((OURS, "ours/export_and_proof.py"), (PEER, "peers/keras_export.py"))
    ),
    goals=tuple(Goal(OURS.format(name), PEER.format(name), 1 / 3, of) for name in NAMES for of in ("", "CPU seconds")),
    rounds=1,
    quick=False,
)
