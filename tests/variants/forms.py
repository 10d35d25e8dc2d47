"""What the transcriptions share: elementwise functions, and attention under a mask of decays.

Everywhere here one sequence of one head: arrays are [T, dims], params [dims], states [dims].
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def elu_plus_one(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def relu(x):
    return np.maximum(x, 0)


def unit(x):
    return x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-6)


def rms_norm(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def per_feature(decay, features):
    """A decay of [T], or of one number for all tokens, as [T, features]."""
    return np.broadcast_to(np.asarray(decay)[..., None], features.shape)


def decay_mask(decay):
    """[T, K] -> [T, T + 1, K]: the product of the decays after j, up to and with i; j = 0 is the
    initial state, j = s + 1 token s. Zero above the diagonal."""
    tokens, width = decay.shape
    mask = np.zeros((tokens, tokens + 1, width))
    row = np.zeros((tokens + 1, width))
    row[0] = 1
    for i in range(tokens):
        row = row * decay[i]
        row[i + 1] = 1
        mask[i] = row
    return mask


def attend(decay, query, key, value, state):
    """The quadratic form of a scan with decay over the key's features: outputs and last state."""
    mask = decay_mask(decay)
    scores = np.einsum("id,ijd,jd->ij", query, mask[:, 1:], key)
    out = scores @ value + np.einsum("id,id,dv->iv", query, mask[:, 0], state)
    last = np.einsum("jd,jd,jv->dv", mask[-1, 1:], key, value) + mask[-1, 0][:, None] * state
    return out, last


def totals(key, state):
    """Sums of the keys so far, with the initial state: [T, K], and the last of them."""
    sums = state + np.cumsum(key, 0)
    return sums, sums[-1]
