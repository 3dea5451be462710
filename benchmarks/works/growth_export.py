"""How export and proof grow with the parameters of a model."""

from benchmarks.benchmark import Contender, Goal, Work

OURS, PEER = "export and proof, 10^{}", "Keras' export and a reload each, 10^{}"
POWERS = range(4, 9)

WORK = Work(
    title="Export and proof of three dense layers; memory of all processes together",
    unit="seconds",
    higher_is_better=False,
    contenders=tuple(
        Contender(who.format(power), script, (str(10**power),))
        for power in POWERS
        for who, script in ((OURS, "ours/export_and_proof.py"), (PEER, "peers/keras_export.py"))
    ),
    goals=tuple(
        Goal(OURS.format(power), OURS.format(power - 1), 0.1, of)  # ten times the parameters cost ten times at most
        for power in POWERS[1:]
        for of in ("", "peak MB")
    ),
    rounds=1,
    quick=False,
    growth="parameters",
)
