"""Every token sees all: attention without a causal mask, or one scan from each end."""

import numpy as np
from forms import attend, elu_plus_one, relu


def both_ends(x, name, gained):
    """The two states of a sum without decay after the last and before the first token."""
    return {name: x[name] + gained, f"{name}_reverse": x[f"{name}_reverse"] + gained}


def vig(x):
    query = x["q"] / np.sqrt(x["q"].shape[-1])
    forward, last = attend(np.exp(x["g"]), query, x["k"], x["v"], x["S"])
    turned = [array[::-1] for array in (np.exp(x["h"]), query, x["k"], x["v"])]
    backward, first = attend(*turned, x["R"])
    return {"o": forward + backward[::-1], "S": last, "R": first}


def relu_linear(x):
    query, key = relu(x["q"]), relu(x["k"])
    scores = query @ key.T
    above = scores @ x["v"] + query @ (x["S"] + x["S_reverse"])
    below = scores.sum(-1) + query @ (x["z"] + x["z_reverse"])
    return {
        "o": above / (below + 1e-15)[:, None],
        **both_ends(x, "S", key.T @ x["v"]),
        **both_ends(x, "z", key.sum(0)),
    }


def mala(x):
    """The scores as a matrix; the initial states are tokens that came before or come after."""
    query, key, value = elu_plus_one(x["q"]), elu_plus_one(x["k"]), x["v"]
    scores = query @ key.T
    total = scores.sum(-1) + query @ (x["z"] + x["z_reverse"])
    count = len(value) + x["n"] + x["n_reverse"]
    beta, gamma = 1 + 1 / total[:, None], total[:, None] / count
    weighted = scores @ value + query @ (x["S"] + x["S_reverse"])
    plain = value.sum(0) + x["u"] + x["u_reverse"]
    return {
        "o": beta * weighted - gamma * plain,
        **both_ends(x, "S", key.T @ value),
        **both_ends(x, "z", key.sum(0)),
        **both_ends(x, "u", value.sum(0)),
        **both_ends(x, "n", len(value)),
    }
