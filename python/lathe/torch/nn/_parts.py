"""What the layers are made of beside their recurrence: short convolutions, norms, rotary
positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._packing import Packing

ACTIVATIONS = {
    "swish": functional.silu,
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "relu": functional.relu,
    "gelu": functional.gelu,
}


def causal_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, before: Tensor | None, packing: Packing
) -> tuple[Tensor, Tensor]:
    """Each channel of x [B, T, D] with its own filter, weight [D, W]; the last column meets the
    token itself. `before` are the last W tokens of each sequence so far, [N, D, W]; gives those
    after, too."""
    width = weight.shape[1]
    if before is None:
        before = x.new_zeros(packing.sequences, x.shape[-1], width)
    before = before.to(x.dtype)
    if packing.cu_seqlens is None:
        line = torch.cat([before, x.mT], -1)
        y = functional.conv1d(line[..., 1:], weight[:, None], bias, groups=x.shape[-1]).mT
        return y, line[..., -width:]
    # Tokens of a packed row reach back into what was before their own sequence, not into another.
    own, place = packing.sequence[0], packing.position[0]
    y = x * weight[:, -1]
    for back in range(1, width):
        shifted = functional.pad(x, (0, 0, back, 0))[:, : x.shape[1]]
        older = before[own, :, (width - back + place).clamp(max=width - 1)][None]
        y = y + torch.where((place < back)[None, :, None], older, shifted) * weight[:, -1 - back]
    ends = packing.cu_seqlens[1:].long()
    back = torch.arange(width, 0, -1, device=x.device)
    lengths = ends - packing.cu_seqlens[:-1].long()
    tokens = x[0][(ends[:, None] - back).clamp(min=0)].mT
    older = before.gather(
        2, (lengths[:, None] - back + width).clamp(0, width - 1)[:, None].expand_as(before)
    )
    last = torch.where((back > lengths[:, None])[:, None], older, tokens)
    return (y if bias is None else y + bias), last


class ShortConvolution(nn.Module):
    """A causal convolution of every channel, and an activation.

    Attributes:
        weight: ``[hidden_size, 1, kernel_size]``; bias: ``[hidden_size]`` or None.
    """

    def __init__(
        self,
        hidden_size: int,
        kernel_size: int,
        bias: bool = False,
        activation: str | None = "silu",
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(hidden_size, 1, kernel_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size)) if bias else None
        bound = kernel_size**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(
        self, x: Tensor, cache: Tensor | None = None, packing: Packing | None = None
    ) -> tuple[Tensor, Tensor]:
        """x ``[B, T, hidden_size]``, cache ``[N, hidden_size, kernel_size]``; gives both anew."""
        packing = packing or Packing.of(x, None, None)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        y, last = causal_convolution(x, self.weight[:, 0].to(x.dtype), bias, cache, packing)
        return (y if self.activation is None else ACTIVATIONS[self.activation](y)), last


class RMSNorm(nn.Module):
    """x / rms(x) over the last axis, in fp32, by a weight if `elementwise_affine`."""

    def __init__(
        self, hidden_size: int, elementwise_affine: bool | None = True, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size)) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x).to(x.dtype)

    def norm(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return wide if self.weight is None else wide * self.weight.float()


class RMSNormGated(RMSNorm):
    """RMSNorm of x, by an activation of a gate."""

    def __init__(
        self,
        hidden_size: int,
        elementwise_affine: bool | None = True,
        eps: float = 1e-5,
        activation: str = "swish",
    ) -> None:
        super().__init__(hidden_size, elementwise_affine, eps)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return (self.norm(x) * self.activation(gate.float())).to(x.dtype)


def rotary(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions of x [B, T, H, D], those of its tokens [B, T]: element d and d + D / 2 turn
    by position 10000^(-2 d / D)."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = (positions.float()[..., None] * rates)[:, :, None]
    one, other = x.float().chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1).to(x.dtype)
