"""Diagonal decays in their quadratic form: attention under a mask of products of decays."""

import numpy as np
from forms import (
    attend,
    elu_plus_one,
    per_feature,
    rms_norm,
    sigmoid,
    silu,
    softmax,
    softplus,
    totals,
)


def ones(key):
    return np.ones_like(key)


def scaled(query):
    return query / np.sqrt(query.shape[-1])


def linear_attention(x):
    query, key = elu_plus_one(x["q"]), elu_plus_one(x["k"])
    weighted, state = attend(ones(key), query, key, x["v"], x["S"])
    sums, last = totals(key, x["z"])
    return {"o": weighted / (query * sums).sum(-1, keepdims=True), "S": state, "z": last}


def retnet(x):
    decay = per_feature(np.exp(x["gamma"]), x["k"])
    out, state = attend(decay, scaled(x["q"]), x["k"], x["v"], x["S"])
    return {"o": out, "S": state}


def lightning(x):
    decay = per_feature(np.exp(x["gamma"]), x["k"])
    out, state = attend(decay, silu(x["q"]), silu(x["k"]), x["v"], x["S"])
    return {"o": out, "S": state}


def simple_gla(x):
    decay = per_feature(np.exp(x["g"]), x["k"])
    out, state = attend(decay, scaled(x["q"]), x["k"], x["v"], x["S"])
    return {"o": out, "S": state}


def gla(x):
    out, state = attend(np.exp(x["g"]), scaled(x["q"]), x["k"], x["v"], x["S"])
    return {"o": out, "S": state}


def gated_output(x):
    out, state = attend(np.exp(x["g"]), scaled(x["q"]), x["k"], x["v"], x["S"])
    return {"o": rms_norm(out) * x["weight"] * silu(x["r"]), "S": state}


def mamba2(x):
    """The semiseparable matrix of section 3: discretised A = -exp(A_log) and B."""
    step = softplus(x["dt"] + x["dt_bias"])
    decay = per_feature(np.exp(-np.exp(x["A_log"]) * step), x["B"])
    out, state = attend(decay, x["C"], step[:, None] * x["B"], x["x"], x["S"])
    return {"y": out + x["D"] * x["x"], "S": state}


def mamba2_gated(x):
    plain = mamba2(x)
    return {"y": plain["y"] * silu(x["z"]), "S": plain["S"]}


def hgrn2(x):
    least = sigmoid(x["low"])
    forget = least + (1 - least) * sigmoid(x["f"])
    out, state = attend(forget, x["q"], 1 - forget, x["i"], x["S"])
    return {"o": out, "S": state}


def rwkv6(x):
    """The sum over the past starts at the state that the token before left: a query is shifted by
    one token, and the token itself has the weight u."""
    decay = np.exp(x["w"])
    shifted = np.concatenate([x["r"][1:], np.zeros_like(x["r"][:1])])
    past, state = attend(decay, shifted, x["k"], x["v"], x["S"])
    past = np.concatenate([x["r"][:1] @ x["S"], past[:-1]])
    own = (x["r"] * x["u"] * x["k"]).sum(-1, keepdims=True) * x["v"]
    return {"o": past + own, "S": state}


def liger(x):
    out, state = attend(sigmoid(x["k"]), softmax(x["q"]), softmax(x["k"]), x["v"], x["S"])
    return {"o": out, "S": state}


def mlstm(x):
    """Appendix A.3: the parallel form, of forget gates times exponential input gates."""
    forget, gate = per_feature(sigmoid(x["f"]), x["k"]), np.exp(x["i"])[:, None]
    key = x["k"] / np.sqrt(x["k"].shape[-1])
    out, state = attend(forget, x["q"], key * gate, x["v"], x["C"])
    sums, last = attend(forget, x["q"], key * gate, np.ones((len(key), 1)), x["n"][:, None])
    return {"h": out / np.maximum(np.abs(sums), 1), "C": state, "n": last[:, 0]}


def mlstm_sig(x):
    forget, gate = per_feature(sigmoid(x["f"]), x["k"]), sigmoid(x["i"])[:, None]
    out, state = attend(forget, scaled(x["q"]), x["k"] * gate, x["v"], x["C"])
    return {"h": out, "C": state}


def lightnet(x):
    """Each feature of the key is a softmax over the tokens so far."""
    weights = np.exp(x["k"])
    sums, last = totals(weights, x["z"])
    out, state = attend(ones(weights), silu(x["q"]) / sums, weights, x["v"], x["S"])
    return {"o": out, "S": state, "z": last}
