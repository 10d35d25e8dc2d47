"""Layers of the gated delta rule: Gated DeltaNet and Kimi Delta Attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...compat import fla
from ...errors import ArgumentError
from ._layer import Layer, one_of, sized, step_biases
from ._packing import Packing
from ._parts import RMSNorm, RMSNormGated, ShortConvolution

MODES = ("chunk", "fused_recurrent")


class _Delta(Layer):
    """Projections and convolutions; `mode` makes no difference."""

    def __init__(
        self,
        hidden_size: int,
        expand_v: float,
        head_dim: int,
        num_heads: int,
        num_v_heads: int | None,
        mode: str,
        use_short_conv: bool,
        allow_neg_eigval: bool,
        conv_size: int,
        conv_bias: bool,
        layer_idx: int | None,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        one_of(layer, "mode", mode, MODES)
        self.mode, self.hidden_size, self.head_dim = mode, hidden_size, head_dim
        self.allow_neg_eigval, self.use_short_conv = allow_neg_eigval, use_short_conv
        self.num_heads, self.num_v_heads = num_heads, num_v_heads or num_heads
        if self.num_v_heads % num_heads:
            raise ArgumentError(
                f"{layer}: num_v_heads is {num_v_heads}; num_heads, {num_heads}, must divide it"
            )
        self.head_k_dim, self.key_dim = head_dim, num_heads * head_dim
        self.value_dim, self.head_v_dim = sized(
            "expand_v * head_dim * num_v_heads",
            expand_v * head_dim * self.num_v_heads,
            self.num_v_heads,
        )
        self.layer_idx = layer_idx
        self.q_proj = nn.Linear(hidden_size, self.key_dim, bias=False)
        self.k_proj = nn.Linear(hidden_size, self.key_dim, bias=False)
        self.v_proj = nn.Linear(hidden_size, self.value_dim, bias=False)
        if use_short_conv:
            self.q_conv1d = ShortConvolution(self.key_dim, conv_size, conv_bias)
            self.k_conv1d = ShortConvolution(self.key_dim, conv_size, conv_bias)
            self.v_conv1d = ShortConvolution(self.value_dim, conv_size, conv_bias)
        self.b_proj = nn.Linear(hidden_size, self.num_v_heads, bias=False)
        self.o_proj = nn.Linear(self.value_dim, hidden_size, bias=False)

    def split(self, made: list[Tensor]) -> dict[str, Tensor]:
        sizes = (self.head_k_dim, self.head_k_dim, self.head_v_dim)
        return {name: x.unflatten(-1, (-1, size)) for name, x, size in zip("qkv", made, sizes)}

    def options(self, last: dict[str, Any], keep: bool, packing: Packing) -> dict[str, Any]:
        return {
            "initial_state": last.get("recurrent_state"),
            "output_final_state": keep,
            "cu_seqlens": packing.cu_seqlens,
            "use_qk_l2norm_in_kernel": True,
            "use_gate_in_kernel": True,
            "use_beta_sigmoid_in_kernel": True,
            "allow_neg_eigval": self.allow_neg_eigval,
            "A_log": self.A_log,
            "dt_bias": self.dt_bias,
        }


class GatedDeltaNet(_Delta):
    """The layer of Gated DeltaNet, Yang et al. 2024 (arXiv:2412.06464), with the arguments and
    weights that flash-linear-attention's has."""

    def __init__(
        self,
        hidden_size: int = 2048,
        expand_v: float = 2,
        head_dim: int = 256,
        num_heads: int = 6,
        num_v_heads: int | None = None,
        mode: str = "chunk",
        use_gate: bool = True,
        use_short_conv: bool = True,
        allow_neg_eigval: bool = False,
        conv_size: int = 4,
        conv_bias: bool = False,
        layer_idx: int | None = None,
        norm_eps: float = 1e-5,
        output_gate_activation: str = "swish",
    ) -> None:
        super().__init__(
            hidden_size,
            expand_v,
            head_dim,
            num_heads,
            num_v_heads,
            mode,
            use_short_conv,
            allow_neg_eigval,
            conv_size,
            conv_bias,
            layer_idx,
        )
        one_of(
            "GatedDeltaNet",
            "output_gate_activation",
            output_gate_activation,
            ("swish", "silu", "sigmoid"),
        )
        self.a_proj = nn.Linear(hidden_size, self.num_v_heads, bias=False)
        self.A_log = nn.Parameter(torch.empty(self.num_v_heads).uniform_(0, 16).log())
        self.dt_bias = nn.Parameter(step_biases(self.num_v_heads))
        self.A_log._no_weight_decay = self.dt_bias._no_weight_decay = True
        self.use_gate = use_gate
        if use_gate:
            self.g_proj = nn.Linear(hidden_size, self.value_dim, bias=False)
            self.o_norm = RMSNormGated(
                self.head_v_dim, eps=norm_eps, activation=output_gate_activation
            )
        else:
            self.o_norm = RMSNorm(self.head_v_dim, eps=norm_eps)

    def mix(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, offset: Tensor | int
    ) -> tuple[Tensor, Tensor | None, Any]:
        made, kept = self.project(x, packing, last, keep, functional.silu)
        o, state = fla.chunk_gated_delta_rule(
            **self.split(made),
            g=self.a_proj(x),
            beta=self.b_proj(x),
            **self.options(last, keep, packing),
        )
        if self.use_gate:
            o = self.o_norm(o, self.g_proj(x).unflatten(-1, (-1, self.head_v_dim)))
        else:
            o = self.o_norm(o)
        return self.o_proj(o.flatten(2)), state, kept


class KimiDeltaAttention(_Delta):
    """The layer of Kimi Delta Attention, Kimi Team 2025 (arXiv:2510.26692), with the arguments and
    weights that flash-linear-attention's has."""

    def __init__(
        self,
        hidden_size: int = 2048,
        expand_v: float = 1,
        head_dim: int = 128,
        num_heads: int = 16,
        num_v_heads: int | None = None,
        mode: str = "chunk",
        use_short_conv: bool = True,
        allow_neg_eigval: bool = False,
        safe_gate: bool = False,
        lower_bound: float | None = None,
        conv_size: int = 4,
        conv_bias: bool = False,
        layer_idx: int | None = None,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__(
            hidden_size,
            expand_v,
            head_dim,
            num_heads,
            num_v_heads,
            mode,
            use_short_conv,
            allow_neg_eigval,
            conv_size,
            conv_bias,
            layer_idx,
        )
        self.safe_gate, self.lower_bound = safe_gate, lower_bound
        gates = self.num_v_heads * self.head_k_dim
        self.f_proj = nn.Sequential(
            nn.Linear(hidden_size, self.head_v_dim, bias=False),
            nn.Linear(self.head_v_dim, gates, bias=False),
        )
        rates = torch.ones(self.num_v_heads)
        self.A_log = nn.Parameter((rates if safe_gate else rates.uniform_(1, 16)).log())
        self.dt_bias = nn.Parameter(step_biases(gates))
        self.A_log._no_weight_decay = self.dt_bias._no_weight_decay = True
        self.g_proj = nn.Sequential(
            nn.Linear(hidden_size, self.head_v_dim, bias=False),
            nn.Linear(self.head_v_dim, self.value_dim, bias=True),
        )
        self.o_norm = RMSNormGated(self.head_v_dim, eps=norm_eps, activation="sigmoid")

    def mix(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, offset: Tensor | int
    ) -> tuple[Tensor, Tensor | None, Any]:
        made, kept = self.project(x, packing, last, keep, functional.silu)
        o, state = fla.chunk_kda(
            **self.split(made),
            g=self.f_proj(x).unflatten(-1, (-1, self.head_k_dim)),
            beta=self.b_proj(x),
            safe_gate=self.safe_gate,
            lower_bound=self.lower_bound,
            **self.options(last, keep, packing),
        )
        o = self.o_norm(o, self.g_proj(x).unflatten(-1, (-1, self.head_v_dim)))
        return self.o_proj(o.flatten(2)), state, kept
