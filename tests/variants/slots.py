"""Bounded memories, token by token with the state in the papers' orientation, and Longhorn."""

import numpy as np
from forms import sigmoid, softmax


def gsa(x):
    """Slots are rows: keys [M, K] and values [M, V]."""
    keys, values, out = x["A"].T.copy(), x["B"].copy(), []
    scale = 1 / np.sqrt(x["q"].shape[-1])
    for q, k, v, forget in zip(x["q"], x["k"], x["v"], np.exp(x["g"])):
        keys = np.diag(forget) @ keys + np.outer(1 - forget, k)
        values = np.diag(forget) @ values + np.outer(1 - forget, v)
        out.append(values.T @ softmax(scale * (keys @ q)))
    return {"o": np.array(out), "A": keys.T, "B": values}


def abc(x):
    """Each slot holds the average of the tokens so far under the weights exp(s)."""
    weights, scale = np.exp(x["s"]), 1 / np.sqrt(x["q"].shape[-1])
    out = []
    for t in range(len(weights)):
        seen = weights[: t + 1]
        total = x["z"] + seen.sum(0)
        keys = (x["A"].T + seen.T @ x["k"][: t + 1]) / total[:, None]
        values = (x["B"] + seen.T @ x["v"][: t + 1]) / total[:, None]
        out.append(values.T @ softmax(scale * (keys @ x["q"][t])))
    return {
        "o": np.array(out),
        "A": x["A"] + x["k"].T @ weights,
        "B": x["B"] + weights.T @ x["v"],
        "z": x["z"] + weights.sum(0),
    }


def longhorn(x):
    """The state is [V, K], as in the paper: a row for each channel of x."""
    state, out = x["S"].T.copy(), []
    for q, k, value, beta in zip(x["q"], x["k"], x["x"], sigmoid(x["b"])):
        step = beta / (1 + beta * k.dot(k))
        state = (1 - np.outer(step, k**2)) * state + np.outer(step * value, k)
        out.append(state @ q)
    return {"y": np.array(out), "S": state.T}
