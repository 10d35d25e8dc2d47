"""The five variants in numpy, token by token, written from the papers and not from the specs."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def unit(x):
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-6)


def scan(decay, key, value, query, state):
    """decay broadcasts to [B,T,H,K]; key, query [B,T,H,K]; value [B,T,H,V]; state [B,H,K,V]."""
    state, out = state.copy(), np.empty(value.shape)
    decay = np.broadcast_to(decay, key.shape)
    for t in range(key.shape[1]):
        state = decay[:, t, :, :, None] * state + np.einsum("bhk,bhv->bhkv", key[:, t], value[:, t])
        out[:, t] = np.einsum("bhk,bhkv->bhv", query[:, t], state)
    return out, state


def linear_attention(x):
    query, key = (np.where(n > 0, n + 1, np.exp(np.minimum(n, 0))) for n in (x["q"], x["k"]))
    out, state = scan(1.0, key, x["v"], query, x["S"])
    normaliser = np.cumsum(key, 1) + x["z"][:, None]
    out /= np.einsum("bthk,bthk->bth", query, normaliser)[..., None]
    return {"o": out, "S": state, "z": normaliser[:, -1]}


def retnet(x):
    out, state = scan(np.exp(x["gamma"])[None, None, :, None], x["k"], x["v"], x["q"], x["S"])
    return {"o": out / np.sqrt(x["q"].shape[-1]), "S": state}


def gla(x):
    out, state = scan(np.exp(x["g"]), x["k"], x["v"], x["q"], x["S"])
    return {"o": out / np.sqrt(x["q"].shape[-1]), "S": state}


def mamba2(x):
    step = softplus(x["dt"] + x["dt_bias"])
    decay = np.exp(-np.exp(x["A_log"]) * step)[..., None]
    heads = x["x"].shape[2]
    keys, queries = (np.repeat(x[n], heads // x[n].shape[2], 2) for n in ("B", "C"))
    out, state = scan(decay, step[..., None] * keys, x["x"], queries, x["S"])
    return {"y": out + x["D"][:, None] * x["x"], "S": state}


def gated_delta_net(x):
    key, query = unit(x["k"]), unit(x["q"]) / np.sqrt(x["q"].shape[-1])
    beta, decay = sigmoid(x["b"]), np.exp(-np.exp(x["A_log"]) * softplus(x["a"] + x["dt_bias"]))
    state, out = x["S"].copy(), np.empty(x["v"].shape)
    for t in range(key.shape[1]):
        state = decay[:, t, :, None, None] * state
        held = np.einsum("bhk,bhkv->bhv", key[:, t], state)
        error = beta[:, t, :, None] * (x["v"][:, t] - held)
        state = state + np.einsum("bhk,bhv->bhkv", key[:, t], error)
        out[:, t] = np.einsum("bhk,bhkv->bhv", query[:, t], state)
    return {"o": out, "S": state}


def draw(name, batch=2, tokens=21, heads=4, keys=6, values=5, seed=0):
    """Inputs of a variant, float32 numbers, with an initial state."""
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    bth = (batch, tokens, heads)
    arrays = {"S": normal(batch, heads, keys, values)}
    if name == "mamba2":
        arrays |= {"B": normal(batch, tokens, 1, keys), "C": normal(batch, tokens, 2, keys)}
        arrays |= {"x": normal(*bth, values), "dt": normal(*bth)}
        arrays |= {n: normal(heads) for n in ("A_log", "dt_bias", "D")}
        return arrays
    arrays |= {"q": normal(*bth, keys), "k": normal(*bth, keys), "v": normal(*bth, values)}
    if name == "linear_attention":
        arrays["z"] = np.abs(normal(batch, heads, keys))
    elif name == "retnet":
        arrays["gamma"] = -np.abs(normal(heads))
    elif name == "gla":
        arrays["g"] = -np.abs(normal(*bth, keys))
    elif name == "gated_delta_net":
        arrays |= {"a": normal(*bth), "b": normal(*bth)}
        arrays |= {"A_log": normal(heads), "dt_bias": normal(heads)}
    return arrays
