"""The layer of Mamba-2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...compat.mamba import scan
from ...errors import ArgumentError
from ._layer import Layer, one_of, sized, step_biases
from ._packing import Packing
from ._parts import ACTIVATIONS, RMSNorm, causal_convolution


class GroupedNorm(RMSNorm):
    """RMSNorm within groups of channels, before or after the gate."""

    def __init__(self, hidden_size: int, groups: int, eps: float, norm_before_gate: bool) -> None:
        super().__init__(hidden_size, True, eps)
        self.groups, self.norm_before_gate = groups, norm_before_gate

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        wide, by = x.float(), functional.silu(gate.float())
        wide = wide if self.norm_before_gate else wide * by
        grouped = wide.unflatten(-1, (self.groups, -1))
        grouped = grouped * torch.rsqrt(grouped.square().mean(-1, keepdim=True) + self.eps)
        wide = grouped.flatten(-2) * self.weight.float()
        return (wide * by if self.norm_before_gate else wide).to(x.dtype)


class Mamba2(Layer):
    """The layer of Mamba-2, Dao & Gu 2024 (arXiv:2405.21060), with the arguments and weights that
    flash-linear-attention's has. `chunk_size` and `backend` make no difference."""

    def __init__(
        self,
        num_heads: int | None = None,
        head_dim: int = 64,
        hidden_size: int = 2048,
        state_size: int = 128,
        expand: int = 2,
        n_groups: int = 1,
        conv_kernel: int = 4,
        conv_init: float | None = None,
        use_conv_bias: bool = True,
        hidden_act: str = "silu",
        A_init_range: tuple[float, float] = (1, 16),
        D_has_hdim: bool = False,
        rmsnorm: bool = True,
        norm_before_gate: bool = False,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_limit: tuple[float, float] = (0.0, float("inf")),
        use_bias: bool = False,
        norm_eps: float = 1e-5,
        chunk_size: int = 256,
        layer_idx: int | None = None,
        backend: str = "cuda",
    ) -> None:
        super().__init__()
        one_of("Mamba2", "hidden_act", hidden_act, tuple(ACTIVATIONS))
        inner, heads = sized("expand * hidden_size", expand * hidden_size, head_dim)
        if num_heads and num_heads != heads:
            raise ArgumentError(
                f"Mamba2: num_heads is {num_heads}; it must be expand * hidden_size / head_dim, "
                f"{heads}"
            )
        if heads % n_groups:
            raise ArgumentError(
                f"Mamba2: n_groups is {n_groups}; it must divide the heads, {heads}"
            )
        self.hidden_size, self.intermediate_size = hidden_size, inner
        self.num_heads, self.head_dim, self.n_groups = heads, head_dim, n_groups
        self.ssm_state_size, self.dt_limit, self.layer_idx = state_size, dt_limit, layer_idx
        self.act = ACTIVATIONS[hidden_act]
        self.conv_dim = inner + 2 * n_groups * state_size
        self.conv1d = nn.Conv1d(
            self.conv_dim,
            self.conv_dim,
            conv_kernel,
            groups=self.conv_dim,
            padding=conv_kernel - 1,
            bias=use_conv_bias,
        )
        if conv_init is not None:
            nn.init.uniform_(self.conv1d.weight, -conv_init, conv_init)
        self.in_proj = nn.Linear(hidden_size, inner + self.conv_dim + heads, bias=use_bias)
        self.dt_bias = nn.Parameter(step_biases(heads, dt_min, dt_max, dt_init_floor))
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(*A_init_range).log())
        self.D = nn.Parameter(torch.ones(inner if D_has_hdim else heads))
        for each in (self.dt_bias, self.A_log, self.D):
            each._no_weight_decay = True
        self.norm = GroupedNorm(inner, n_groups, norm_eps, norm_before_gate) if rmsnorm else None
        self.out_proj = nn.Linear(inner, hidden_size, bias=use_bias)

    def mix(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, offset: Tensor | int
    ) -> tuple[Tensor, Tensor | None, Any]:
        inner, shared = self.intermediate_size, self.n_groups * self.ssm_state_size
        gate, line, dt = self.in_proj(x).split([inner, self.conv_dim, self.num_heads], -1)
        weight, bias = self.conv1d.weight[:, 0].to(x.dtype), self.conv1d.bias
        bias = None if bias is None else bias.to(x.dtype)
        line, kept = causal_convolution(line, weight, bias, last.get("conv_state"), packing)
        values, B, C = self.act(line).split([inner, shared, shared], -1)
        by_head = (self.num_heads, self.head_dim)
        B, C = (each.unflatten(-1, (self.n_groups, -1)) for each in (B, C))
        D = self.D if self.D.shape[0] == self.num_heads else self.D.unflatten(0, by_head)
        z = gate.unflatten(-1, by_head) if self.norm is None else None
        tensors = {"x": values.unflatten(-1, by_head), "dt": dt, "B": B, "C": C, "z": z}
        y, state = scan(
            tensors | {"A": -torch.exp(self.A_log.float()), "D": D, "dt_bias": self.dt_bias},
            is_softplus=True,
            dt_limit=self.dt_limit,
            initial_states=last.get("recurrent_state"),
            with_states=keep,
            cu_seqlens=packing.cu_seqlens,
        )
        y = y.flatten(2)
        if self.norm is not None:
            y = self.norm(y, gate)
        return self.out_proj(y), state, kept if keep else None
