"""Layers of diagonal decay with queries, keys and values: RetNet and Gated Linear Attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...compat import fla
from ...errors import ArgumentError
from ._layer import Layer, one_of, sized
from ._packing import Packing
from ._parts import ACTIVATIONS, RMSNorm, RMSNormGated, ShortConvolution, rotary

MODES = ("chunk", "fused_chunk", "parallel", "fused_recurrent")


class _Attention(Layer):
    """Projections, convolutions, norm and gate; `mode` and `fuse_norm` make no difference."""

    def __init__(
        self,
        mode: str,
        hidden_size: int,
        expand_k: float,
        expand_v: float,
        num_heads: int,
        num_kv_heads: int | None,
        feature_map: str | None,
        use_short_conv: bool,
        conv_size: int,
        conv_bias: bool,
        use_output_gate: bool,
        gate_fn: str,
        elementwise_affine: bool | None,
        norm_eps: float,
        fuse_norm: bool,
        layer_idx: int | None,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        one_of(layer, "mode", mode, MODES)
        one_of(layer, "gate_fn", gate_fn, tuple(ACTIVATIONS))
        one_of(layer, "feature_map", feature_map, (None, *ACTIVATIONS))
        self.mode, self.hidden_size, self.num_heads = mode, hidden_size, num_heads
        self.num_kv_heads = num_kv_heads or num_heads
        if num_heads % self.num_kv_heads:
            raise ArgumentError(
                f"{layer}: num_kv_heads is {num_kv_heads}; it must divide num_heads, {num_heads}"
            )
        self.key_dim, self.head_k_dim = sized(
            "expand_k * hidden_size", hidden_size * expand_k, num_heads
        )
        self.value_dim, self.head_v_dim = sized(
            "expand_v * hidden_size", hidden_size * expand_v, num_heads
        )
        self.feature_map = ACTIVATIONS[feature_map] if feature_map else None
        self.use_short_conv, self.layer_idx = use_short_conv, layer_idx
        keys, values = self.num_kv_heads * self.head_k_dim, self.num_kv_heads * self.head_v_dim
        self.q_proj = nn.Linear(hidden_size, self.key_dim, bias=False)
        self.k_proj = nn.Linear(hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(hidden_size, values, bias=False)
        if use_short_conv:
            self.q_conv1d = ShortConvolution(self.key_dim, conv_size, conv_bias)
            self.k_conv1d = ShortConvolution(keys, conv_size, conv_bias)
            self.v_conv1d = ShortConvolution(values, conv_size, conv_bias)
        self.o_proj = nn.Linear(self.value_dim, hidden_size, bias=False)
        self.g_proj = (
            nn.Linear(hidden_size, self.value_dim, bias=False) if use_output_gate else None
        )
        # The norm has the name that checkpoints of flash-linear-attention have for it.
        self.is_gated_norm = use_output_gate and fuse_norm and gate_fn == "swish"
        norm = RMSNormGated if self.is_gated_norm else RMSNorm
        made = norm(self.head_v_dim, elementwise_affine, norm_eps)
        setattr(self, "g_norm_swish_gate" if self.is_gated_norm else "g_norm", made)
        self.gate_fn = ACTIVATIONS[gate_fn]

    def split(self, made: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v by heads, those of k and v perhaps fewer."""
        q, k, v = made
        q, k = (x.unflatten(-1, (-1, self.head_k_dim)) for x in (q, k))
        if self.feature_map is not None:
            q, k = self.feature_map(q), self.feature_map(k)
        return q, k, v.unflatten(-1, (-1, self.head_v_dim))

    def finish(self, x: Tensor, o: Tensor) -> Tensor:
        if self.g_proj is None:
            return self.o_proj(self.g_norm(o).flatten(2))
        gate = self.g_proj(x).unflatten(-1, (-1, self.head_v_dim))
        if self.is_gated_norm:
            return self.o_proj(self.g_norm_swish_gate(o, gate).flatten(2))
        return self.o_proj((self.g_norm(o) * self.gate_fn(gate)).flatten(2))


class MultiScaleRetention(_Attention):
    """The layer of RetNet, Sun et al. 2023 (arXiv:2307.08621), with the arguments and weights that
    flash-linear-attention's has. Queries and keys carry rotary positions."""

    def __init__(
        self,
        mode: str = "chunk",
        hidden_size: int = 1024,
        expand_k: float = 1.0,
        expand_v: float = 2.0,
        num_heads: int = 8,
        num_kv_heads: int | None = None,
        feature_map: str | None = None,
        use_short_conv: bool = False,
        conv_size: int = 4,
        conv_bias: bool = False,
        use_output_gate: bool = True,
        gate_fn: str = "swish",
        elementwise_affine: bool | None = True,
        norm_eps: float = 1e-5,
        fuse_norm: bool = True,
        layer_idx: int | None = None,
    ) -> None:
        super().__init__(
            mode,
            hidden_size,
            expand_k,
            expand_v,
            num_heads,
            num_kv_heads,
            feature_map,
            use_short_conv,
            conv_size,
            conv_bias,
            use_output_gate,
            gate_fn,
            elementwise_affine,
            norm_eps,
            fuse_norm,
            layer_idx,
        )

    def mix(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, offset: Tensor | int
    ) -> tuple[Tensor, Tensor | None, Any]:
        made, kept = self.project(x, packing, last, keep)
        q, k, v = self.split(made)
        q, k = (rotary(each, packing.position + offset) for each in (q, k))
        o, state = fla.chunk_retention(
            q,
            k,
            v,
            initial_state=last.get("recurrent_state"),
            output_final_state=keep,
            cu_seqlens=packing.cu_seqlens,
        )
        return self.finish(x, o), state, kept


class GatedLinearAttention(_Attention):
    """The layer of Gated Linear Attention, Yang et al. 2023 (arXiv:2312.06635), with the arguments
    and weights that flash-linear-attention's has."""

    def __init__(
        self,
        mode: str = "chunk",
        hidden_size: int = 1024,
        expand_k: float = 0.5,
        expand_v: float = 1.0,
        num_heads: int = 4,
        num_kv_heads: int | None = None,
        feature_map: str | None = None,
        use_short_conv: bool = False,
        conv_size: int = 4,
        conv_bias: bool = False,
        use_output_gate: bool = True,
        gate_fn: str = "swish",
        elementwise_affine: bool | None = True,
        norm_eps: float = 1e-5,
        gate_logit_normalizer: int = 16,
        gate_low_rank_dim: int = 16,
        clamp_min: float | None = None,
        fuse_norm: bool = True,
        layer_idx: int | None = None,
    ) -> None:
        super().__init__(
            mode,
            hidden_size,
            expand_k,
            expand_v,
            num_heads,
            num_kv_heads,
            feature_map,
            use_short_conv,
            conv_size,
            conv_bias,
            use_output_gate,
            gate_fn,
            elementwise_affine,
            norm_eps,
            fuse_norm,
            layer_idx,
        )
        self.gate_logit_normalizer, self.clamp_min = gate_logit_normalizer, clamp_min
        self.gk_proj = nn.Sequential(
            nn.Linear(hidden_size, gate_low_rank_dim, bias=False),
            nn.Linear(gate_low_rank_dim, self.num_kv_heads * self.head_k_dim, bias=True),
        )

    def mix(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, offset: Tensor | int
    ) -> tuple[Tensor, Tensor | None, Any]:
        made, kept = self.project(x, packing, last, keep)
        q, k, v = self.split(made)
        gates = functional.logsigmoid(self.gk_proj(x)) / self.gate_logit_normalizer
        if self.clamp_min is not None:
            gates = torch.clamp_min(gates, self.clamp_min)
        o, state = fla.chunk_gla(
            q,
            k,
            v,
            gates.unflatten(-1, (-1, self.head_k_dim)),
            initial_state=last.get("recurrent_state"),
            output_final_state=keep,
            cu_seqlens=packing.cu_seqlens,
        )
        return self.finish(x, o), state, kept
