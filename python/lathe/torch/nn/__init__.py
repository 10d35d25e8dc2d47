"""Layers of linear attention as modules of PyTorch, in the shape that flash-linear-attention gave
them: arguments, names of weights, ``forward`` and caches, so that configurations and checkpoints of
its layers fit.

    layer = lathe.torch.nn.GatedDeltaNet(hidden_size=256, head_dim=64, num_heads=2, layer_idx=0)
    y, _, cache = layer(x, use_cache=True)            # x [B, T, 256]
    y, _, cache = layer(token, past_key_values=cache)  # token [B, 1, 256]
"""

from ._attention import GatedLinearAttention, MultiScaleRetention
from ._delta import GatedDeltaNet, KimiDeltaAttention
from ._layer import Cache
from ._mamba2 import Mamba2
from ._parts import RMSNorm, RMSNormGated, ShortConvolution

__all__ = [
    "Cache",
    "GatedDeltaNet",
    "GatedLinearAttention",
    "KimiDeltaAttention",
    "Mamba2",
    "MultiScaleRetention",
    "RMSNorm",
    "RMSNormGated",
    "ShortConvolution",
]
