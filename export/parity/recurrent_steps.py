"""Recurrent steps: 64 steps from zero state must return what one forward call over the same inputs returns.

A step takes a token, or a chunk of a sound (1, N), of which the forward call takes 64 or more, (B, 64 * N).
"""

from collections.abc import Iterator, Mapping

import numpy as np

from export.contract import Contract, Endpoint, Tensor
from export.parity.distance import max_row_error
from export.parity.noise_floor import Policy
from export.protocol.arrays import Outputs

STEPS = 64
NAME = f"steps_{STEPS}"  # of the golden case, in the step endpoint and in the forward one


def inputs_for(endpoint: Endpoint) -> Iterator[tuple[dict[str, np.ndarray], dict[str, str]]]:
    """Yield (inputs, chain) of a case of 64 steps for a step endpoint, and of the same tokens for a forward one."""
    token = _token(endpoint)
    if token is None:
        return
    random, chain = np.random.default_rng(STEPS), chain_of(endpoint)
    states = [t for t in endpoint.inputs if t.name in chain]
    zeros = {t.name: np.zeros((1, *t.shape[1:]), t.dtype) for t in states}
    if token.meaning == "audio":
        if chain or any(t.shape[1:2] == (STEPS,) for t in endpoint.outputs):
            count = token.shape[1] * (STEPS if chain else 1)
            low, high = (end if bound is None else bound for bound, end in ((token.low, -1), (token.high, 1)))
            samples = random.uniform(low, high, count).astype(token.dtype)
            yield {token.name: samples.reshape(-1, token.shape[1])} | zeros, chain
        return
    ids = random.integers(int(token.low or 0), int(token.high) + 1, STEPS).astype(token.dtype)
    if chain:
        yield {token.name: ids.reshape(STEPS, *token.shape[1:])} | zeros, chain
    elif len(token.shape) == 2 and len(endpoint.inputs) == 1 and endpoint.batch in (None, 1):
        length = token.shape[1] or STEPS
        if length >= STEPS:  # later tokens cannot change earlier outputs
            yield {token.name: np.pad(ids, (0, length - STEPS), mode="wrap")[None]}, {}


def chain_of(endpoint: Endpoint) -> dict[str, str]:
    """Return {state: next state} of a step endpoint of batch one that returns every state, else an empty dict."""
    states = [t.name for t in endpoint.inputs if t.meaning == "state"]
    outputs = {t.name for t in endpoint.outputs}
    token = _token(endpoint)
    if token is None or endpoint.batch != 1 or (token.meaning == "token" and any(d != 1 for d in token.shape)):
        return {}
    if not states or len(states) + 1 != len(endpoint.inputs) or not {f"next_{name}" for name in states} <= outputs:
        return {}
    return {name: f"next_{name}" for name in states}


def _token(endpoint: Endpoint) -> Tensor | None:
    tokens = [t for t in endpoint.inputs if t.meaning == "token" and not isinstance(t.high, tuple)]
    tokens += [t for t in endpoint.inputs if t.meaning == "audio" and len(t.shape) == 2 and t.shape[1]]
    return tokens[0] if len(tokens) == 1 else None


def compare_steps(contract: Contract, outputs: Mapping[str, Outputs], policy: Policy) -> list[str]:
    """Report where the steps of an artifact and its forward call, two graphs, differ by more than the ceiling."""
    messages = []
    step_endpoints = [e for e in contract.endpoints if chain_of(e)]
    for step in step_endpoints:
        for forward in (e for e in contract.endpoints if e not in step_endpoints and _same_tokens(step, e)):
            for name in {t.name for t in step.outputs} & {t.name for t in forward.outputs}:
                a, b = (outputs.get(e.name, Outputs()).get(NAME, name) for e in (step, forward))
                if a is None or b is None or b.shape[2:] != a.shape[1:] or b.ndim < 2 or b.shape[1] < STEPS:
                    continue
                if not (difference := max_row_error(b[0, :STEPS], a)) <= policy.ceiling:
                    messages.append(
                        f"{STEPS} steps of {step.name} and one call of {forward.name} differ by {difference:.2g} in "
                        f"{name} (ceiling {policy.ceiling:g})"
                    )
    return messages


def _same_tokens(step: Endpoint, forward: Endpoint) -> bool:
    a, b = _token(step), _token(forward)
    return a is not None and b is not None and (a.dtype, a.low, a.high) == (b.dtype, b.low, b.high)
