"""The operators of flash-linear-attention (fla.ops), computed by Lathe.

Names, arguments, defaults, layouts and results are those of its version 0.6: ``q, k [B, T, H, K]``,
``v [B, T, HV, V]``, log-decays at most 0, states ``[N, HV, K, V]`` in float32, packed sequences by
``cu_seqlens``. Every ``fused_recurrent`` one computes what its ``chunk`` one does: which kernel
runs follows from the equation and the lengths, so that all have gradients. They run on CPUs and
GPUs, and under ``torch.compile`` without graph breaks.

Arguments that say how to compute (``chunk_size``, ``cu_seqlens_cpu``, ``disable_recompute``,
``safe_gate``) are taken and make no difference. ``cp_context`` and ``return_intermediate_states``
raise UnsupportedError. All other errors are ArgumentError, which is a ValueError.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._call import Call, extra, is_v_first, run, run_normalized
from ._equation import Equation
from ._fla_delta import (
    chunk_delta_rule,
    chunk_gated_delta_rule,
    chunk_kda,
    fused_recurrent_delta_rule,
    fused_recurrent_gated_delta_rule,
    fused_recurrent_kda,
)

__all__ = [
    "chunk_delta_rule",
    "chunk_gated_delta_rule",
    "chunk_gdn",
    "chunk_gla",
    "chunk_kda",
    "chunk_lightning_attn",
    "chunk_linear_attn",
    "chunk_retention",
    "chunk_rwkv6",
    "chunk_rwkv7",
    "chunk_simple_gla",
    "fused_recurrent_delta_rule",
    "fused_recurrent_gated_delta_rule",
    "fused_recurrent_gdn",
    "fused_recurrent_gla",
    "fused_recurrent_kda",
    "fused_recurrent_lightning_attn",
    "fused_recurrent_linear_attn",
    "fused_recurrent_retention",
    "fused_recurrent_rwkv6",
    "fused_recurrent_rwkv7",
    "fused_recurrent_simple_gla",
]

chunk_gdn = chunk_gated_delta_rule
fused_recurrent_gdn = fused_recurrent_gated_delta_rule

Given = Tensor | None


def _simple_gla(
    q: Tensor, k: Tensor, v: Tensor, g: Given, g_gamma: Given, call: Call, reverse: bool = False
) -> tuple[Tensor, Given]:
    equation = Equation(
        "simple_gla",
        decays=() if g is None else ("g",),
        head_decay="" if g_gamma is None else "g_gamma",
        is_reverse=reverse,
    )
    return run(equation, {"q": q, "k": k, "v": v, "g": g, "g_gamma": g_gamma}, call)


def chunk_simple_gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Given = None,
    g_gamma: Given = None,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """S <- exp(g) S + k v, with g ``[B, T, H]``, or g_gamma ``[H]`` for all tokens."""
    extra("chunk_simple_gla", kwargs)
    call = Call(scale, initial_state, output_final_state, cu_seqlens, state_v_first)
    return _simple_gla(q, k, v, g, g_gamma, call)


def fused_recurrent_simple_gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Given = None,
    g_gamma: Given = None,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    reverse: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """As chunk_simple_gla; with `reverse` from the last token to the first."""
    v_first = is_v_first(state_v_first, kwargs)
    extra("fused_recurrent_simple_gla", kwargs)
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    return _simple_gla(q, k, v, g, g_gamma, call, reverse)


def _retention_decay(q: Tensor) -> Tensor:
    heads = torch.arange(q.shape[2], dtype=torch.float, device=q.device)
    return (1 - torch.exp2(-5 - heads)).log()


def chunk_retention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """S <- (1 - 2^(-5 - head)) S + k v."""
    extra("chunk_retention", kwargs)
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _simple_gla(q, k, v, None, _retention_decay(q), call)


def fused_recurrent_retention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    reverse: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """As chunk_retention."""
    v_first = is_v_first(state_v_first, kwargs)
    extra("fused_recurrent_retention", kwargs)
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    return _simple_gla(q, k, v, None, _retention_decay(q), call, reverse)


def _lightning_decay(q: Tensor, layer_idx: int, num_layers: int) -> Tensor:
    heads = torch.arange(q.shape[2], dtype=torch.float, device=q.device)
    return heads * (-8 / q.shape[2] * (1 - layer_idx / num_layers))


def chunk_lightning_attn(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layer_idx: int,
    num_layers: int,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """S <- exp(-8 head / H (1 - layer_idx / num_layers)) S + k v."""
    extra("chunk_lightning_attn", kwargs)
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _simple_gla(q, k, v, None, _lightning_decay(q, layer_idx, num_layers), call)


def fused_recurrent_lightning_attn(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layer_idx: int,
    num_layers: int,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    reverse: bool = False,
    cu_seqlens: Given = None,
) -> tuple[Tensor, Given]:
    """As chunk_lightning_attn."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _simple_gla(q, k, v, None, _lightning_decay(q, layer_idx, num_layers), call, reverse)


def _linear_attn(
    q: Tensor, k: Tensor, v: Tensor, normalize: bool, call: Call, reverse: bool = False
) -> tuple[Tensor, Any]:
    equation = Equation("linear_attn", is_normalized=normalize, is_reverse=reverse)
    tensors = {"q": q, "k": k, "v": v}
    return run_normalized(equation, tensors, call) if normalize else run(equation, tensors, call)


def chunk_linear_attn(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Any = None,
    output_final_state: bool = False,
    normalize: bool = True,
    cu_seqlens: Given = None,
) -> tuple[Tensor, Any]:
    """S <- S + k v; with `normalize` o is divided by q @ z, z <- z + k, and the states are (S, z),
    z being ``[N, 1, H, K]`` in the dtype of the keys."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _linear_attn(q, k, v, normalize, call)


def fused_recurrent_linear_attn(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    initial_state: Any = None,
    output_final_state: bool = False,
    reverse: bool = False,
    normalize: bool = False,
    cu_seqlens: Given = None,
) -> tuple[Tensor, Any]:
    """As chunk_linear_attn, but for the default of `normalize`."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _linear_attn(q, k, v, normalize, call, reverse)


def chunk_gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
) -> tuple[Tensor, Given]:
    """S <- exp(g) S + k v, with g ``[B, T, H, K]``."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens, state_v_first)
    return run(Equation("gla", decays=("g[K]",)), {"q": q, "k": k, "v": v, "g": g}, call)


def fused_recurrent_gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gk: Given = None,
    gv: Given = None,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    reverse: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """S <- exp(gk) exp(gv) S + k v, with gk ``[B, T, H, K]`` and gv ``[B, T, H, V]``."""
    v_first = is_v_first(state_v_first, kwargs)
    extra("fused_recurrent_gla", kwargs)
    decays = _declared(**{"gk[K]": gk, "gv[V]": gv})
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    equation = Equation("gla", decays=decays, is_reverse=reverse)
    return run(equation, {"q": q, "k": k, "v": v, "gk": gk, "gv": gv}, call)


def _declared(**given: Given) -> tuple[str, ...]:
    return tuple(declaration for declaration, value in given.items() if value is not None)


def chunk_rwkv6(
    r: Tensor,
    k: Tensor,
    v: Tensor,
    w: Tensor,
    u: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """o = scale r @ (S + (u k) v), then S <- exp(w) S + k v, with u ``[H, K]``."""
    extra("chunk_rwkv6", kwargs)
    return _rwkv6(r, k, v, w, u, Call(scale, initial_state, output_final_state, cu_seqlens))


def fused_recurrent_rwkv6(
    r: Tensor,
    k: Tensor,
    v: Tensor,
    w: Tensor,
    u: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    reverse: bool = False,
    cu_seqlens: Given = None,
) -> tuple[Tensor, Given]:
    """As chunk_rwkv6."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _rwkv6(r, k, v, w, u, call, reverse)


def _rwkv6(
    r: Tensor, k: Tensor, v: Tensor, w: Tensor, u: Tensor, call: Call, reverse: bool = False
) -> tuple[Tensor, Given]:
    equation = Equation("rwkv6", query="r", decays=("w[K]",), bonus="u[K]", is_reverse=reverse)
    return run(equation, {"r": r, "k": k, "v": v, "w": w, "u": u}, call)


def chunk_rwkv7(
    r: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    scale: float | None = 1.0,
    initial_state: Given = None,
    output_final_state: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
    safe_gate: bool = False,
    chunk_size: int | None = None,
    disable_recompute: bool = False,
    cp_context: Any = None,
    lower_bound: float | None = None,
) -> tuple[Tensor, Given]:
    """S <- exp(w) S + b (a @ S) + k v. `lower_bound` and `safe_gate` promise bounds of w, which
    are not needed."""
    extra("chunk_rwkv7", {"cp_context": cp_context})
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _rwkv7(r, w, k, v, a, b, call)


def fused_recurrent_rwkv7(
    r: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = True,
    cu_seqlens: Given = None,
) -> tuple[Tensor, Given]:
    """As chunk_rwkv7, but for the defaults of `scale`, which is 1 / sqrt(K), and
    `output_final_state`."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _rwkv7(r, w, k, v, a, b, call)


def _rwkv7(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, call: Call
) -> tuple[Tensor, Given]:
    equation = Equation("rwkv7", query="r", decays=("w[K]",), delta="removal")
    return run(equation, {"r": r, "k": k, "v": v, "a": a, "b": b, "w": w}, call)
