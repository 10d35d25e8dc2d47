"""The recurrences of flash-linear-attention's operators as one loop over tokens in float64, which
PyTorch's autograd differentiates. In another form than lathe.compat's: log-decays and rates come as
tensors that broadcast, and heads are repeated."""

import torch
from torch.nn.functional import softplus


def norm(x):
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def recurrence(q, k, v, scale, decays=(), beta=None, feedback=None, bonus=None, state=None):
    """S <- exp(sum of decays) S [+ b (a @ S)], + k v, or with beta the delta rule. q, k [B, T, H,
    K]; decays [B, T, HV, K or 1, V or 1]; beta [B, T, HV, V or 1]; feedback (a, b); bonus [H, K],
    of a read above the update. Gives o and the last state."""
    heads = v.shape[2]
    q, k = (x.repeat_interleave(heads // x.shape[2], 2) for x in (q, k))
    S = v.new_zeros(v.shape[0], heads, q.shape[-1], v.shape[-1]) if state is None else state
    outputs = []
    for t in range(v.shape[1]):
        write = k[:, t, :, :, None] * v[:, t, :, None]
        if bonus is not None:
            outputs.append(read(q[:, t], S + bonus[..., None] * write))
        old = S
        for decay in decays:
            S = decay[:, t].exp() * S
        if feedback is not None:
            a, b = feedback
            S = S + b[:, t, :, :, None] * read(a[:, t], old)[:, :, None]
        if beta is not None:
            write = k[:, t, :, :, None] * (beta[:, t] * (v[:, t] - read(k[:, t], S)))[:, :, None]
        S = S + write
        if bonus is None:
            outputs.append(read(q[:, t], S))
    return scale * torch.stack(outputs, 1), S


def read(q, S):
    return torch.einsum("bhk,bhkv->bhv", q, S)


def matrix(decay, shape):
    """A log-decay of a token (shape "1"), a key's channel ("K") or a value's ("V") beside S."""
    return {
        "1": decay[..., None, None] if decay.dim() < 4 else decay,
        "K": decay[..., :, None] if decay.dim() == 4 else decay,
        "V": decay[..., None, :],
    }[shape]


def sequences(function, tensors, starts, state):
    """One sequence after the other of packed ones. Tensors of tokens have a batch of 1."""
    outputs, states = [], []
    for n, (begin, end) in enumerate(zip(starts, starts[1:])):
        own = {name: x[:, begin:end] if x.dim() > 2 else x for name, x in tensors.items()}
        first = None if state is None else state[n : n + 1]
        if begin == end:
            states.append(first)
            continue
        o, last = function(own, first)
        outputs.append(o)
        states.append(last)
    return torch.cat(outputs, 1), torch.cat(states)


def expected(family, options, tensors, state, starts=None):
    """What an operator gives for float64 tensors by the names of its arguments."""

    def one(own, first):
        return _one(family, options, own, first)

    return one(tensors, state) if starts is None else sequences(one, tensors, starts, state)


def _one(family, options, x, state):
    query = x.get("q", x.get("r"))
    scale = options.get("scale")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    k, v = x["k"], x["v"]
    if family == "simple_gla":
        decays = [matrix(x["g"], "1")] if "g" in x else []
        if "g_gamma" in x:
            decays.append(x["g_gamma"][None, None, :, None, None].expand(*v.shape[:3], 1, 1))
        return recurrence(query, k, v, scale, decays, state=state)
    if family == "gla":
        shapes = {"g": "K", "gk": "K", "gv": "V"}
        decays = [matrix(x[name], shape) for name, shape in shapes.items() if name in x]
        return recurrence(query, k, v, scale, decays, state=state)
    if family == "rwkv6":
        return recurrence(query, k, v, scale, [matrix(x["w"], "K")], bonus=x["u"], state=state)
    if family == "rwkv7":
        feedback = (x["a"], x["b"])
        return recurrence(query, k, v, scale, [matrix(x["w"], "K")], feedback=feedback, state=state)
    if options.get("use_qk_l2norm_in_kernel"):
        query, k = norm(query), norm(k)
    beta = x["beta"]
    if options.get("use_beta_sigmoid_in_kernel"):
        beta = beta.sigmoid() * (2 if options.get("allow_neg_eigval") else 1)
    beta = beta[..., None] if beta.dim() == 3 else beta
    decays = []
    if "g" in x:
        g = gate(x, options) if options.get("use_gate_in_kernel") else x["g"]
        decays.append(matrix(g, "K" if family == "kda" else "1"))
    decays += [matrix(x[name], name[1].upper()) for name in ("gk", "gv") if name in x]
    return recurrence(query, k, v, scale, decays, beta, state=state)


def gate(x, options):
    """The log-decay that is made in the kernel."""
    g, bound = x["g"], options.get("lower_bound")
    if "dt_bias" in x:
        g = g + x["dt_bias"].reshape(g.shape[2:])
    A = x["A_log"].exp() if "A_log" in x else torch.ones(g.shape[2], dtype=g.dtype, device=g.device)
    A = A.reshape(-1, *(1,) * (g.dim() - 3))
    return -A * softplus(g) if bound is None else bound * torch.sigmoid(A * g)
