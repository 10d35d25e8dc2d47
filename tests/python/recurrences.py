"""Equations of the library as loops over tokens in PyTorch, which its autograd differentiates.

Each takes inputs [B, T, H, ...], params [H, ...] and initial states by name, and gives outputs and
last states.
"""

import torch
from torch.nn.functional import elu, logsigmoid, softplus


def outer(k, v):
    return k[..., :, None] * v[..., None, :]


def read(q, S):
    return torch.einsum("bhk,bhkv->bhv", q, S)


def l2norm(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def tokens_of(*inputs):
    return [tuple(x[:, t] for x in inputs) for t in range(inputs[0].shape[1])]


def gla(q, k, v, g, S, scale=None):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    outputs = []
    for qt, kt, vt, gt in tokens_of(q, k, v, g):
        S = torch.exp(gt)[..., None] * S + outer(kt, vt)
        outputs.append(scale * read(qt, S))
    return torch.stack(outputs, 1), {"S": S}


def retnet(q, k, v, gamma, S):
    outputs = []
    for qt, kt, vt in tokens_of(q, k, v):
        S = torch.exp(gamma)[:, None, None] * S + outer(kt, vt)
        outputs.append(q.shape[-1] ** -0.5 * read(qt, S))
    return torch.stack(outputs, 1), {"S": S}


def mamba2(C, B, x, dt, A_log, dt_bias, D, S):
    outputs = []
    for Ct, Bt, xt, dtt in tokens_of(C, B, x, dt):
        step = softplus(dtt + dt_bias)
        decay = torch.exp(-torch.exp(A_log) * step)
        S = decay[..., None, None] * S + step[..., None, None] * outer(Bt, xt)
        outputs.append(read(Ct, S) + D[:, None] * xt)
    return torch.stack(outputs, 1), {"S": S}


def gated_delta_net(q, k, v, a, b, A_log, dt_bias, S):
    outputs = []
    for qt, kt, vt, at, bt in tokens_of(q, k, v, a, b):
        key, beta = l2norm(kt), torch.sigmoid(bt)
        S = torch.exp(-torch.exp(A_log) * softplus(at + dt_bias))[..., None, None] * S
        S = S + outer(beta[..., None] * key, vt - read(key, S))
        outputs.append(q.shape[-1] ** -0.5 * read(l2norm(qt), S))
    return torch.stack(outputs, 1), {"S": S}


def linear_attention(q, k, v, S, z):
    outputs = []
    for qt, kt, vt in tokens_of(elu(q) + 1, elu(k) + 1, v):
        S, z = S + outer(kt, vt), z + kt
        outputs.append(read(qt, S) / (qt * z).sum(-1, keepdim=True))
    return torch.stack(outputs, 1), {"S": S, "z": z}


def mlstm(q, k, v, i, f, C, n):
    outputs = []
    for qt, kt, vt, it, ft in tokens_of(q, k * k.shape[-1] ** -0.5, v, i, f):
        forget = torch.exp(logsigmoid(ft))[..., None]
        C = forget[..., None] * C + torch.exp(it)[..., None, None] * outer(kt, vt)
        n = forget * n + torch.exp(it)[..., None] * kt
        divisor = torch.clamp((qt * n).sum(-1, keepdim=True).abs(), min=1)
        outputs.append(read(qt, C) / divisor)
    return torch.stack(outputs, 1), {"C": C, "n": n}
