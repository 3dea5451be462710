"""A cost model of trainings on 2 to 1,024 workers: python -m benchmarks.scaling [--measure].

The time of a step of n workers, with M bytes of gradients and a batch of B examples, is

    step(B / n)  +  2 (n - 1) latency + 2 (n - 1) / n M / bandwidth  +  read B + augment B / n

(read B / n where each worker reads shards of its own)

- step(b) = s0 + s1 b: measured on one worker, with one core, in CPU time.
- The gradients are summed by a ring (Patarasuk, Yuan 2009), after the backward pass: nothing overlaps. Latency and
  bandwidth are measured for two workers on this machine.
- Each worker reads the whole batch, or its part of it from shards of its own, and augments its part; that takes the
  time of the core that computes.
- Workers are equally fast, and none waits for another.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from benchmarks.benchmark import HERE
from docs.figures import figure
from zoobase import console as shell
from zoobase.console import Console
from zoobase.files import write_atomic

RESULTS = HERE / "scaling.json"
PAGE = HERE.parent / "docs" / "how-to" / "distribute.md"
FIGURE = HERE.parent / "docs" / "benchmarks" / "scaling.png"
BLOCK = re.compile(r"(<!-- scaling:[^\n]*\n).*(<!-- /scaling -->)", re.DOTALL)
WORKERS = tuple(2**power for power in range(11))
OWN = "10 Gbit/s, shards of its own on disk"
LOCAL, STRONG = 128, 4096  # examples a worker, and examples a batch
ETHERNET = {"10 Gbit/s": (30e-6, 1.25e9), "100 Gbit/s": (10e-6, 12.5e9)}  # assumed: seconds, bytes/s


@dataclass(frozen=True)
class Costs:
    """What the model is computed from; seconds.

    Attributes:
        step: s0 and s1 of a step of b examples, s0 + s1 b.
        bytes: Bytes of the gradients.
        latency: Of a message.
        bandwidth: Bytes per second between two workers.
        read: Of an example of the batch.
        augment: Of an example of the worker's part.
    """

    step: tuple[float, float]
    bytes: int
    latency: float
    bandwidth: float
    read: float
    augment: float

    def seconds(self, workers: int, batch: float, own_shards: bool = False) -> float:
        """Return the seconds of a step; with `own_shards`, each worker reads only its part of the batch.

        Example:
            >>> costs = Costs((0.01, 0.001), 10**6, 1e-3, 1e9, 1e-5, 1e-4)
            >>> round(costs.seconds(1, 100), 6), round(costs.seconds(2, 100), 6)
            (0.121, 0.069)
        """
        own = batch / workers
        ring = 2 * (workers - 1) * (self.latency + self.bytes / workers / self.bandwidth)
        return (
            self.step[0] + self.step[1] * own + ring + self.read * (own if own_shards else batch) + self.augment * own
        )


def costs(results: Mapping[str, Any], network: str, cache: str = "memory") -> Costs:
    """Return the costs with a network: "loopback" as measured, or one of `ETHERNET`."""
    sizes, seconds = _columns(results["step"]["seconds"])
    slope, offset = np.polyfit(sizes, seconds, 1, w=1 / seconds)
    latency, bandwidth = _ring(results["all_reduce"]["seconds"]) if network == "loopback" else ETHERNET[network]
    feed = results["feed"]
    return Costs(
        (max(0.0, float(offset)), float(slope)),
        results["step"]["bytes"],
        latency,
        bandwidth,
        feed[cache],
        feed["augment"],
    )


def _columns(values: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([float(key) for key in values]), np.array(list(values.values()))


def _ring(values: Mapping[str, float]) -> tuple[float, float]:
    """Return latency and bandwidth of two workers: 2 latency + bytes / bandwidth."""
    sizes, seconds = _columns(values)
    slope, offset = np.polyfit(sizes, seconds, 1, w=1 / seconds)
    return max(0.0, float(offset)) / 2, 1 / float(slope)


def efficiency(costs: Costs, workers: int, batch: int | None = None, own_shards: bool = False) -> float:
    """Return the examples per second and worker, relative to one worker; `batch` is None for LOCAL a worker."""
    one = costs.seconds(1, batch or LOCAL) / (batch or LOCAL)
    whole = batch or LOCAL * workers
    return one / (costs.seconds(workers, whole, own_shards) / whole * workers)


def text(results: Mapping[str, Any]) -> str:
    """Return the block of the page: the figures measured, what two workers needed, the table and the plot."""
    local, disk, machine = costs(results, "loopback"), costs(results, "loopback", "disk"), results["machine"]
    processes = [(count, 1e3 * results[f"workers_{count}"]["seconds"]) for count in PROCESSES]
    batch = results["workers_1"]["batch"]
    measured = "; ".join(
        f"{count}: {seconds:.0f} ms measured, {1e3 * local.seconds(count, batch):.0f} by the model"
        for count, seconds in processes
    )
    where = f"{machine['cores']} cores of {machine['processor']} (load {machine['load']:g}, {machine['date']})"
    latencies = "; ".join(f"{name}: {1e6 * latency:.0f} us" for name, (latency, _) in ETHERNET.items())
    head = ["workers", "loopback", *ETHERNET, "10 Gbit/s, data on disk", OWN, f"10 Gbit/s, batch {STRONG:,}"]
    lines = [
        f"Measured on {where}, a worker being one core, with ResNet-20 on Fashion-MNIST in float32, "
        f"{results['step']['bytes'] / 1e6:.2f} MB of gradients; steps and feed in CPU time, which other load "
        "does not change, the others by the clock; the shortest of several:",
        "",
        f"- a step of b examples: {1e3 * local.step[0]:.1f} ms + {1e3 * local.step[1]:.2f} ms b;",
        f"- the sum over two workers on loopback: latency {1e6 * local.latency:.0f} us, "
        f"{local.bandwidth / 1e6:,.0f} MB/s;",
        f"- the feed: {1e6 * local.read:.1f} us to read an example in memory, {1e6 * disk.read:.1f} us on disk, "
        f"{1e6 * local.augment:.1f} us to augment it;",
        f"- **a step of a batch of {batch}, by the number of processes: {measured}.** The model gives each a core of "
        f"its own; here {PROCESSES[-1]} share {machine['cores']}, with the threads that send and sum the gradients. "
        "Processes that wait for a core, and for each other, are left out of it.",
        "",
        f"Examples per second and worker, relative to one worker (efficiency), with {LOCAL} examples a worker, and "
        f"with a batch of {STRONG:,} for all. Latency and bandwidth of Ethernet are assumed, not measured "
        f"({latencies}):",
        "",
        f"| {' | '.join(head)} | examples/s at 10 Gbit/s |",
        f"|{'---:|' * (len(head) + 1)}",
    ]
    ten, disk_ten = costs(results, "10 Gbit/s"), costs(results, "10 Gbit/s", "disk")
    for n in WORKERS[1:]:
        cells = [efficiency(costs(results, network), n) for network in ("loopback", *ETHERNET)]
        cells += [efficiency(disk_ten, n, own_shards=own) for own in (False, True)] + [efficiency(ten, n, STRONG)]
        rate = n * LOCAL / ten.seconds(n, n * LOCAL)
        lines.append(f"| {n:,} | {' | '.join(f'{cell:.2f}' for cell in cells)} | {rate:,.0f} |")
    shown = figure(
        "../benchmarks/scaling.png",
        "Efficiency by number of workers, 1 to 1,024, for each network",
        "Cost model of times measured on one machine; the speed of Ethernet is assumed.",
    )
    return "\n".join([*lines, "", shown, ""])


def draw(results: Mapping[str, Any]) -> Any:
    """Plot the efficiency over the number of workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for network in ("loopback", *ETHERNET):
        axes.plot(WORKERS, [efficiency(costs(results, network), n) for n in WORKERS], marker="o", label=network)
    ten = "10 Gbit/s"
    axes.plot(
        WORKERS, [efficiency(costs(results, ten, "disk"), n) for n in WORKERS], marker="s", label=f"{ten}, on disk"
    )
    own = [efficiency(costs(results, ten, "disk"), n, own_shards=True) for n in WORKERS]
    axes.plot(WORKERS, own, marker="^", label=OWN)
    axes.plot(
        WORKERS, [efficiency(costs(results, ten), n, STRONG) for n in WORKERS], "--", label=f"{ten}, batch {STRONG:,}"
    )
    axes.set(xscale="log", ylim=(0, 1.05), xlabel="workers", ylabel="efficiency")
    axes.set_xticks(WORKERS, [str(n) for n in WORKERS], minor=False)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title("Cost model from times measured on one machine; Ethernet is assumed", fontsize=9)
    return figure


PROCESSES = (1, 2, 4)
MODES = {"step": 1, "feed": 1, "all_reduce": 2} | {f"workers_{n}": n for n in PROCESSES}  # measurement -> processes


def _run(mode: str, count: int) -> dict[str, Any]:
    from zoobase.ports import free_ports

    environments: list[dict[str, str]] = [{}]
    if count > 1:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
        tasks = [{"type": "worker", "index": index} for index in range(count)]
        environments = [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]
    command = [sys.executable, str(HERE / "ours" / "scaling.py"), re.sub(r"_\d+$", "", mode)]
    path = {"PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    processes = [
        subprocess.Popen(command, env={**os.environ, **path, **e}, stdout=subprocess.PIPE, text=True)
        for e in environments
    ]
    printed = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise click.ClickException(f"{mode} failed")
    return json.loads(printed[0].strip().splitlines()[-1])


@click.command("scaling")
@click.option("--measure", is_flag=True, help="Measure first; otherwise the last measurement is used.")
@shell.common_options
def main(measure: bool, console: Console) -> None:
    """Write the cost model to docs/how-to/distribute.md."""
    from benchmarks import report
    from docs.figures import check_axes
    from zoo.evaluation import plots

    if measure:
        measured = {"machine": report.machine()} | {mode: _run(mode, count) for mode, count in MODES.items()}
        write_atomic(RESULTS, json.dumps(measured, indent=1) + "\n")
    results = json.loads(RESULTS.read_text())
    write_atomic(PAGE, BLOCK.sub(lambda block: block[1] + text(results) + block[2], PAGE.read_text()))
    figure = draw(results)
    check_axes(figure, FIGURE.stem)
    plots.save(figure, FIGURE)
    console.print(f"written: {PAGE}")
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.scaling")
