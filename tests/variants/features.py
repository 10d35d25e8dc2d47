"""Feature maps: scores by the kernel that the features stand for, not by the features."""

import numpy as np
from forms import relu, softmax


def normalised(scores, value, weighted, total, least=-np.inf):
    """Causal attention whose weights are the scores; with what the initial states add."""
    scores = np.tril(scores)
    above = scores @ value + weighted
    below = scores.sum(-1) + total
    return above / np.maximum(below, least)[:, None]


def taylor_features(x):
    """1, x, and x x / sqrt(2): the order in which a state keeps them."""
    pairs = np.einsum("ti,tj->tij", x, x).reshape(len(x), -1) / np.sqrt(2)
    return np.concatenate([np.ones((len(x), 1)), x, pairs], 1)


def based(x):
    query = x["q"] / np.sqrt(x["q"].shape[-1])
    scores = query @ x["k"].T
    features, keys = taylor_features(query), taylor_features(x["k"])
    out = normalised(1 + scores + scores**2 / 2, x["v"], features @ x["S"], features @ x["z"])
    return {"o": out, "S": x["S"] + keys.T @ x["v"], "z": x["z"] + keys.sum(0)}


def hedgehog(x):
    query, key = x["q"] @ x["Wq"] + x["bq"], x["k"] @ x["Wk"] + x["bk"]
    query, key = (softmax(np.concatenate([n, -n], 1)) for n in (query, key))
    state = np.concatenate([x["P"], x["N"]])
    sums = np.concatenate([x["y"], x["z"]])
    out = normalised(query @ key.T, x["v"], query @ state, query @ sums)
    half = len(x["y"])
    state, sums = state + key.T @ x["v"], sums + key.sum(0)
    return {"o": out, "P": state[:half], "N": state[half:], "y": sums[:half], "z": sums[half:]}


def cosformer(x):
    """Scores are weighted by the cosine of the distance; a state holds the two parts of it."""
    tokens = len(x["q"])
    angle = np.pi / 2 * np.arange(tokens) / x["M"]
    query, key = relu(x["q"]), relu(x["k"])
    scores = (query @ key.T) * np.cos(angle[:, None] - angle[None, :])
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    weighted = cosine * (query @ x["C"]) + sine * (query @ x["S"])
    total = cosine[:, 0] * (query @ x["c"]) + sine[:, 0] * (query @ x["s"])
    return {
        "o": normalised(scores, x["v"], weighted, total, least=1e-6),
        "C": x["C"] + (cosine * key).T @ x["v"],
        "S": x["S"] + (sine * key).T @ x["v"],
        "c": x["c"] + (cosine * key).sum(0),
        "s": x["s"] + (sine * key).sum(0),
    }
