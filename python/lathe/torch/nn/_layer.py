"""What all layers have in common: how they are called, and what they keep between calls."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ArgumentError
from ._packing import Packing
from ._parts import ShortConvolution


class Cache:
    """What the layers of a model keep between calls, by layer: states, the last tokens of the
    convolutions, and how many tokens were seen. It is that of flash-linear-attention as far as
    layers see it, and either serves the layers of this module."""

    def __init__(self) -> None:
        self._layers: dict[int, dict[str, Any]] = {}
        self._seen: dict[int, int] = {}

    def __len__(self) -> int:
        return max(self._layers, default=-1) + 1

    def __getitem__(self, layer_idx: int) -> dict[str, Any]:
        """Nothing of a layer that was not called yet."""
        return self._layers.get(layer_idx, {})

    def update(
        self,
        recurrent_state: Tensor | None = None,
        conv_state: Any = None,
        layer_idx: int = 0,
        offset: int = 1,
    ) -> dict[str, Any]:
        self._layers[layer_idx] = {"recurrent_state": recurrent_state, "conv_state": conv_state}
        self._seen[layer_idx] = self._seen.get(layer_idx, 0) + offset
        return self._layers[layer_idx]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The number of tokens so far."""
        return self._seen.get(layer_idx, 0)


class Layer(nn.Module, abc.ABC):
    """A token mixer. A subclass computes what `mix` says."""

    layer_idx: int | None = None

    @abc.abstractmethod
    def mix(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, offset: Tensor | int
    ) -> tuple[Tensor, Tensor | None, Any]:
        """The output [B, T, hidden_size] of x, the state, and the tokens that the convolutions
        keep. `last` has the latter two of the tokens so far, or is empty; `keep` asks for them;
        `offset` is how many tokens each sequence has had."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = False,
        output_attentions: bool | None = False,
        **kwargs: Any,
    ) -> tuple[Tensor, None, Any]:
        """
        Args:
            hidden_states: ``[B, T, hidden_size]``.
            attention_mask: ``[B, T]`` of ones, and zeros where a row is padded; after tokens that
                were seen before, of all so far.
            past_key_values: A `Cache`, which goes on from what is in it, and is changed.
            use_cache: Whether to make a cache where none is given.
            cu_seqlens: By name: the sequences of one packed row.

        Returns:
            ``(output, None, past_key_values)``: the output has the shape of `hidden_states`.

        Raises:
            ArgumentError: An argument breaks one of these rules.
        """
        if output_attentions:
            raise ArgumentError(
                "output_attentions is True; there are none, so that it must be False"
            )
        keep = bool(use_cache) or past_key_values is not None
        index = self.layer_idx
        if keep and index is None:
            raise ArgumentError(
                f"{type(self).__name__}: layer_idx is None; with a cache it must be the number of "
                "the layer"
            )
        if keep and past_key_values is None:
            past_key_values = Cache()
        last, seen = {}, 0
        if keep and len(past_key_values) > index:
            last, seen = past_key_values[index] or {}, past_key_values.get_seq_length(index)
        packing = Packing.of(hidden_states, attention_mask, kwargs.get("cu_seqlens"))
        offset: Tensor | int = seen
        if attention_mask is not None and seen:
            before = attention_mask[:, : -hidden_states.shape[1]].long().sum(1)
            offset = before[packing.sequence]
        o, state, kept = self.mix(packing.pack(hidden_states), packing, last, keep, offset)
        if keep:
            past_key_values.update(
                recurrent_state=state,
                conv_state=kept,
                layer_idx=index,
                offset=hidden_states.shape[1],
            )
        return packing.unpack(o), None, past_key_values

    def project(
        self, x: Tensor, packing: Packing, last: dict[str, Any], keep: bool, plain: Any = None
    ) -> tuple[list[Tensor], tuple[Tensor, ...] | None]:
        """q, k and v, through their convolutions where there are any, else through `plain`; and
        what these keep."""
        made = [self.q_proj(x), self.k_proj(x), self.v_proj(x)]
        if not self.use_short_conv:
            return [each if plain is None else plain(each) for each in made], None
        states = last.get("conv_state") or (None, None, None)
        filters: tuple[ShortConvolution, ...] = (self.q_conv1d, self.k_conv1d, self.v_conv1d)
        done = [one(y, state, packing) for one, y, state in zip(filters, made, states)]
        return [y for y, _ in done], tuple(state for _, state in done) if keep else None


def sized(name: str, size: float, heads: int) -> tuple[int, int]:
    """A width that heads share: all of it, and of one head."""
    whole = round(size)
    if abs(whole - size) > 1e-5 * whole or whole % heads:
        raise ArgumentError(f"{name} is {size}; it must be an integer that {heads} heads divide")
    return whole, whole // heads


def one_of(layer: str, name: str, value: Any, accepted: Any) -> None:
    if value not in accepted:
        raise ArgumentError(
            f"{layer}: {name} is {value!r}; it must be one of {', '.join(map(repr, accepted))}"
        )


def step_biases(count: int, least: float = 1e-3, most: float = 0.1, floor: float = 1e-4) -> Tensor:
    """Biases whose softplus is spread evenly, by its logarithm, between two step sizes."""
    logs = torch.log(torch.tensor([least, most]))
    steps = torch.exp(torch.rand(count) * (logs[1] - logs[0]) + logs[0]).clamp(min=floor)
    return steps + torch.log(-torch.expm1(-steps))
