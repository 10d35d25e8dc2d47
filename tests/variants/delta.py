"""Delta rules by their transition matrices, in the papers' orientation: the state is [V, K], a
column of it belongs to a feature of the key, and S M transforms it from the right."""

import numpy as np
from forms import sigmoid, silu, softplus, unit


def scaled(query):
    return query / np.sqrt(query.shape[-1])


def householder(beta, key):
    return np.eye(len(key)) - beta * np.outer(key, key)


def run(query, state, steps):
    """`steps` holds, for each token, pairs of a transition and what is added after it."""
    state, out = state.T.copy(), []
    for token, step in enumerate(steps):
        for transition, added in step:
            state = state @ transition + added
        out.append(state @ query[token])
    return {"o": np.array(out), "S": state.T}


def decays(x):
    return np.exp(-np.exp(x["A_log"]) * softplus(x["a"] + x["dt_bias"]))


def delta_net(x):
    key, beta = unit(silu(x["k"])), sigmoid(x["b"])
    steps = [
        [(householder(b, k), b * np.outer(v, k))] for b, k, v in zip(beta, key, x["v"])
    ]
    return run(scaled(unit(silu(x["q"]))), x["S"], steps)


def gated_delta_net(x):
    key, beta = unit(x["k"]), sigmoid(x["b"])
    steps = [
        [(alpha * householder(b, k), b * np.outer(v, k))]
        for alpha, b, k, v in zip(decays(x), beta, key, x["v"])
    ]
    return run(scaled(unit(x["q"])), x["S"], steps)


def gated_delta_product(x):
    first, second = unit(x["k1"]), unit(x["k2"])
    beta1, beta2 = 2 * sigmoid(x["b1"]), 2 * sigmoid(x["b2"])
    steps = [
        [
            (alpha * householder(beta1[t], first[t]), beta1[t] * np.outer(x["v1"][t], first[t])),
            (householder(beta2[t], second[t]), beta2[t] * np.outer(x["v2"][t], second[t])),
        ]
        for t, alpha in enumerate(decays(x))
    ]
    return run(scaled(unit(x["q"])), x["S"], steps)


def kda(x):
    key, beta = unit(x["k"]), sigmoid(x["b"])
    steps = [
        [(np.diag(alpha) @ householder(b, k), b * np.outer(v, k))]
        for alpha, b, k, v in zip(decays(x), beta, key, x["v"])
    ]
    return run(scaled(unit(x["q"])), x["S"], steps)


def rwkv7(x):
    decay, rate = np.exp(-np.exp(-0.5) * sigmoid(x["d"])), sigmoid(x["a"])
    removal = unit(x["k"] * x["xi"])
    replacement = x["k"] * ((1 - x["alpha"]) + rate * x["alpha"])
    steps = [
        [
            (
                np.diag(decay[t]) - np.outer(removal[t], rate[t] * removal[t]),
                np.outer(x["v"][t], replacement[t]),
            )
        ]
        for t in range(len(decay))
    ]
    return run(x["r"], x["S"], steps)


def comba(x):
    key, beta, fraction = unit(x["k"]), sigmoid(x["b"]), sigmoid(x["feedback"])
    steps = [
        [(alpha * np.eye(len(k)) - b * fraction * np.outer(k, k), b * np.outer(v, k))]
        for alpha, b, k, v in zip(decays(x), beta, key, x["v"])
    ]
    return run(scaled(unit(x["q"]) - x["D"] * key), x["S"], steps)
