"""Batches of sequences of unlike lengths, as one row without what pads them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...errors import ArgumentError


class Packing:
    """Which token belongs to which sequence, and where in it.

    Attributes:
        cu_seqlens: int32 ``[N + 1]``, or None where each row of the batch is a sequence.
        sequences: N.
    """

    def __init__(
        self, shape: tuple[int, int], cu_seqlens: Tensor | None, kept: Tensor | None, device: Any
    ) -> None:
        self.shape, self.cu_seqlens, self._kept, self._device = shape, cu_seqlens, kept, device
        self.sequences = shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1

    @classmethod
    def of(cls, x: Tensor, mask: Tensor | None, cu_seqlens: Tensor | None) -> Packing:
        """Of x [B, T, ...] with a mask [B, >= T] of ones, and zeros where a row is padded, or with
        sequences that are packed already."""
        batch, tokens = x.shape[:2]
        if mask is None:
            return cls((batch, tokens), cu_seqlens, None, x.device)
        if cu_seqlens is not None:
            raise ArgumentError("both attention_mask and cu_seqlens were given; give one of them")
        if mask.dim() != 2 or mask.shape[0] != batch or mask.shape[1] < tokens:
            raise ArgumentError(
                f"attention_mask has the shape {list(mask.shape)}; it must be [{batch}, at least "
                f"{tokens}], of ones, and zeros for what pads a row"
            )
        own = mask[:, -tokens:].bool()
        starts = torch.nn.functional.pad(own.sum(1).cumsum(0), (1, 0)).to(torch.int32)
        return cls((batch, tokens), starts, own.flatten().nonzero()[:, 0], x.device)

    def pack(self, x: Tensor) -> Tensor:
        """[B, T, ...] as [1, tokens that are kept, ...], where something pads it."""
        return x if self._kept is None else x.flatten(0, 1)[self._kept][None]

    def unpack(self, x: Tensor) -> Tensor:
        """The other way, zeros in between."""
        if self._kept is None:
            return x
        batch, tokens = self.shape
        wide = x.new_zeros(batch * tokens, *x.shape[2:]).index_copy(0, self._kept, x[0])
        return wide.unflatten(0, (batch, tokens))

    @cached_property
    def sequence(self) -> Tensor:
        """Of each token of a packed row, [1, T]."""
        assert self.cu_seqlens is not None
        tokens = self.shape[1] if self._kept is None else self._kept.shape[0]
        places = torch.arange(tokens, device=self._device)
        return torch.searchsorted(self.cu_seqlens[1:].long(), places, right=True)[None]

    @cached_property
    def position(self) -> Tensor:
        """In its sequence, of each token, [B, T] or [1, T]."""
        if self.cu_seqlens is None:
            return torch.arange(self.shape[1], device=self._device)[None]
        places = torch.arange(self.sequence.shape[1], device=self._device)
        return places[None] - self.cu_seqlens.long()[self.sequence]
