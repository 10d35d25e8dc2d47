"""The operator of Mamba-2 in mamba_ssm (ops.triton.ssd_combined), computed by Lathe.

It runs on CPUs and GPUs, and under ``torch.compile`` without graph breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .. import compile as compile_spec
from ..errors import ArgumentError, UnsupportedError
from ..torch import Op
from ..torch import op as operator_of

__all__ = ["mamba_chunk_scan_combined"]

#: Log-decay of a token that begins a sequence: nothing is left of the state.
_FORGET = -1e4


def _text(has_bias: bool, is_softplus: bool, is_limited: bool, skip: str, is_gated: bool,
          has_starts: bool) -> str:  # fmt: skip
    step = "dt + dt_bias" if has_bias else "dt"
    step = f"softplus({step})" if is_softplus else step
    step = f"clamp({step}, dt_min, dt_max)" if is_limited else step
    read = "C @ S + D * x" if skip else "C @ S"
    lines = [
        "input x[V], dt, B[K], C[K]" + (", z[V]" if is_gated else ""),
        "input start in log" if has_starts else "",
        "param A" + (", dt_bias" if has_bias else "") + (f", {skip}" if skip else ""),
        "const dt_min = 0\n  const dt_max = 1e30" if is_limited else "",
        f"let step = {step}",
        f"let decay = exp(A * step){' * exp(start)' if has_starts else ''}",
        "state S[K, V]",
        "S <- decay * S + step * B * x",
        f"output y[V] = ({read}) * silu(z)" if is_gated else f"output y[V] = {read}",
    ]
    body = "\n  ".join(line for line in lines if line)
    return f"variant mamba_chunk_scan(K, V) {{\n  {body}\n}}\n"


class _Made:
    """Operators as attributes, which PyTorch's compiler looks up when it comes to them."""


def _operator(*fields: Any) -> Op:
    return getattr(_Made, _make(*fields))


@torch.compiler.assume_constant_result
def _make(*fields: Any) -> str:
    name = f"{fields}"
    if not hasattr(_Made, name):
        made = operator_of(compile_spec(_text(*fields), file="lathe.compat mamba_chunk_scan"))
        setattr(_Made, name, made)
    return name


def mamba_chunk_scan_combined(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    seq_idx: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    return_final_states: bool = False,
    return_varlen_states: bool = False,
) -> Any:
    """S <- exp(A step) S + step B x, y = (C @ S + D x) silu(z), the step being dt + dt_bias, after
    softplus and within dt_limit where these are given.

    Args:
        x: ``[batch, tokens, heads, headdim]``; z as well.
        dt: ``[batch, tokens, heads]``.
        A: ``[heads]``, below zero; dt_bias as well; D too, or ``[heads, headdim]``.
        B, C: ``[batch, tokens, groups, dstate]``, of groups that divide the heads.
        chunk_size: Makes no difference.
        initial_states: ``[batch, heads, headdim, dstate]``.
        seq_idx: ``[batch, tokens]``: a state goes on while it stays the same.
        cu_seqlens: ``[sequences + 1]``, with return_varlen_states alone.
        return_final_states: Gives ``(y, states)``, float32 in the layout of initial_states.
        return_varlen_states: Gives also the last states of the packed sequences of a batch of 1.

    Raises:
        ArgumentError: An argument breaks one of these rules.
        UnsupportedError: initial_states together with return_varlen_states.
    """
    if return_varlen_states:
        if cu_seqlens is None or x.shape[0] != 1:
            raise ArgumentError(
                f"mamba_chunk_scan_combined: cu_seqlens is "
                f"{'None' if cu_seqlens is None else 'given'} and the batch is {x.shape[0]}; with "
                "return_varlen_states there must be cu_seqlens and a batch of 1"
            )
        if initial_states is not None:
            raise UnsupportedError(
                "mamba_chunk_scan_combined: initial_states was given; with return_varlen_states it "
                "must be None"
            )
    starts = None
    if seq_idx is not None and not return_varlen_states:
        if seq_idx.shape != x.shape[:2]:
            raise ArgumentError(
                f"mamba_chunk_scan_combined: seq_idx has the shape {list(seq_idx.shape)}; it must "
                f"be {list(x.shape[:2])}: [batch, tokens]"
            )
        begins = torch.nn.functional.pad(seq_idx[:, 1:] != seq_idx[:, :-1], (1, 0))
        starts = (begins.to(torch.float32) * _FORGET)[..., None]
    y, last = scan(
        {"x": x, "dt": dt, "B": B, "C": C, "z": z, "A": A, "D": D, "dt_bias": dt_bias},
        starts=starts,
        is_softplus=dt_softplus,
        dt_limit=dt_limit,
        initial_states=initial_states,
        with_states=return_final_states or return_varlen_states,
        cu_seqlens=cu_seqlens if return_varlen_states else None,
    )
    results = [y]
    if return_final_states:
        results.append(last[-1:] if return_varlen_states else last)
    if return_varlen_states:
        results.append(last)
    return results[0] if len(results) == 1 else tuple(results)


def scan(
    tensors: Mapping[str, Tensor | None],
    *,
    starts: Tensor | None = None,
    is_softplus: bool,
    dt_limit: tuple[float, float],
    initial_states: Tensor | None,
    with_states: bool,
    cu_seqlens: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """(y, states): packed sequences have one state each. `tensors` are those of the scan by name,
    some None; `starts` is a log-decay of every token more."""
    named: dict[str, Any] = {name: value for name, value in tensors.items() if value is not None}
    is_limited = tuple(dt_limit) != (0.0, float("inf"))
    D = named.get("D")
    skip = "" if D is None else "D[V]" if D.dim() == 2 else "D"
    operator = _operator(
        "dt_bias" in named, is_softplus, is_limited, skip, "z" in named, starts is not None
    )
    if starts is not None:
        named["start"] = starts
    if is_limited:
        named |= {"dt_min": dt_limit[0], "dt_max": min(dt_limit[1], 1e30)}
    y, last = operator(
        **named,
        initial_state=None if initial_states is None else initial_states.float().mT,
        output_final_state=with_states,
        cu_seqlens=cu_seqlens,
    )
    return y, None if last is None else last.mT.contiguous()
