"""What the operators of flash-linear-attention have in common in a call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ArgumentError, UnsupportedError
from ..torch import Op
from ._equation import Equation, operator

LARGEST = 256  # channels that a kernel of a GPU takes

#: What only says how to compute, not what: other chunks, copies of a list in another memory, less
#: memory for more work. Lathe chooses for itself, so that their values are not looked at.
HINTS = ("chunk_size", "chunk_indices", "cu_seqlens_cpu", "disable_recompute", "use_graph")
#: What has no equal here, and the value that asks for nothing.
ABSENT = {"cp_context": None, "return_intermediate_states": False, "max_num_seqs": None}


class Call(NamedTuple):
    """The arguments that every operator has, as their documentation there has them: `initial_state`
    is [N, H, K, V], or [N, H, V, K] with `state_v_first`."""

    scale: float | None
    initial_state: Any
    output_final_state: bool
    cu_seqlens: Tensor | None
    state_v_first: bool = False


def extra(function: str, given: Mapping[str, Any], accepted: tuple[str, ...] = ()) -> None:
    """Looks through further keyword arguments. Throws ArgumentError for those that nobody knows,
    UnsupportedError for what is not computed."""
    for name, value in given.items():
        if name in ABSENT:
            if value is not ABSENT[name]:
                raise UnsupportedError(
                    f"{function}: {name} is {_shown(value)}; it is not computed here, so that it "
                    f"must be {ABSENT[name]}"
                )
        elif name == "head_first":
            raise ArgumentError(
                f"{function}: head_first was given; inputs are [B, T, H, ...] and nothing else: "
                "leave it away"
            )
        elif name not in HINTS and name not in accepted:
            known = ", ".join((*accepted, *HINTS))
            raise ArgumentError(
                f"{function} has no argument {name}; beside those of its signature it takes {known}"
            )


def is_v_first(state_v_first: bool, given: dict[str, Any]) -> bool:
    """Also by the older name of the argument, which is taken out of `given`."""
    if "transpose_state_layout" not in given:
        return state_v_first
    if state_v_first:
        raise ArgumentError(
            "both state_v_first and the older transpose_state_layout were given; give the first"
        )
    warnings.warn(
        "transpose_state_layout is now called state_v_first", DeprecationWarning, stacklevel=3
    )
    return bool(given.pop("transpose_state_layout"))


def rates(
    function: str, use_beta_sigmoid_in_kernel: bool, allow_neg_eigval: bool, beta: Tensor | None
) -> tuple[str, str]:
    """How an equation declares the rate of a delta rule, and what becomes of it."""
    if allow_neg_eigval and not use_beta_sigmoid_in_kernel:
        raise ArgumentError(
            f"{function}: allow_neg_eigval is True; it doubles the sigmoid, so that "
            "use_beta_sigmoid_in_kernel must be True as well"
        )
    if beta is None:
        return "", ""
    declared = "beta[V]" if beta.dim() == 4 else "beta"
    if not use_beta_sigmoid_in_kernel:
        return declared, ""
    return declared, "2 * sigmoid(beta)" if allow_neg_eigval else "sigmoid(beta)"


def run(
    equation: Equation, tensors: Mapping[str, Tensor | None], call: Call, **constants: float | None
) -> tuple[Tensor, Tensor | None]:
    """(o, final state): o of the dtype of the first tensor, the state float32."""
    given = {name: value for name, value in tensors.items() if value is not None}
    state = call.initial_state
    if state is not None:
        state = _state(equation, "initial_state", state)
        state = state.transpose(-1, -2) if call.state_v_first else state
    options = {
        "output_final_state": call.output_final_state,
        "cu_seqlens": call.cu_seqlens,
        **constants,
    }
    if call.scale is not None:
        options["scale"] = call.scale
    op = operator(equation)
    if is_wide(given):
        o, last = run_in_blocks(op, bool(equation.delta), given, state, options)
    else:
        # By position, where all are there: that is looked at least.
        names = op.variant.arguments
        by_name = {} if len(given) == len(names) else given
        by_place = () if by_name else [given[name] for name in names]
        o, last = op(*by_place, **by_name, initial_state=state, **options)
    if last is not None and call.state_v_first:
        last = last.transpose(-1, -2).contiguous()
    return o, last


def is_wide(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a kernel of a GPU takes fewer channels than there are."""
    k, v = tensors["k"], tensors["v"]
    return v.is_cuda and max(k.shape[-1], v.shape[-1]) > LARGEST


def run_in_blocks(
    op: Op,
    is_delta: bool,
    tensors: Mapping[str, Tensor],
    state: Tensor | None,
    options: Mapping[str, Any],
) -> tuple[Tensor, Tensor | None]:
    """Channels of V do not see each other, and with a diagonal decay those of K meet in a sum."""
    K, V = tensors["k"].shape[-1], tensors["v"].shape[-1]
    options = {"scale": K**-0.5, **options}
    dims = {operand.name: operand.dims for operand in op.variant.operands}
    columns = []
    for v in _blocks(V):
        parts = []
        for k in [slice(0, K)] if is_delta else _blocks(K):
            own = {"K": k, "V": v}
            cut = {
                name: x[..., own[dims[name][-1]]] if dims[name] else x
                for name, x in tensors.items()
            }
            first = None if state is None else state[..., k, v]
            parts.append(op(**cut, initial_state=first, **options))
        o = sum(part.float() for part, _ in parts).to(parts[0][0].dtype)
        rows = [last for _, last in parts]
        columns.append((o, None if rows[0] is None else torch.cat(rows, -2)))
    last = None if columns[0][1] is None else torch.cat([rows for _, rows in columns], -1)
    return torch.cat([o for o, _ in columns], -1), last


def _blocks(size: int) -> list[slice]:
    """Equal parts that a kernel takes, of multiples of 16 where they can be."""
    parts = -(-size // LARGEST)
    step = -(-size // parts)
    step += -step % 16 if step + -step % 16 <= LARGEST else 0
    return [slice(begin, min(begin + step, size)) for begin in range(0, size, step)]


def run_normalized(
    equation: Equation, tensors: Mapping[str, Tensor], call: Call
) -> tuple[Tensor, tuple[Tensor | None, Tensor]]:
    """As `run`, of an equation with the sum z of the keys: states are (S, z), z [N, 1, H, K] of the
    dtype of the keys, and given whether S is asked for or not."""
    given = call.initial_state
    states = given if isinstance(given, tuple) else (given, None)
    initial = {}
    if states[0] is not None:
        initial["S"] = _state(equation, "initial_state", states[0])
    if states[1] is not None:
        initial["z"] = _state(equation, "initial_state[1]", states[1]).squeeze(1)
    o, last = operator(equation)(
        **tensors,
        initial_state=initial,
        output_final_state=True,
        cu_seqlens=call.cu_seqlens,
        scale=call.scale,
    )
    z = last["z"].unsqueeze(1).to(tensors["k"].dtype)
    return o, (last["S"] if call.output_final_state else None, z)


def _state(equation: Equation, name: str, value: Any) -> Tensor:
    """A state is kept in float32, whatever it comes in."""
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"{equation.name}: {name} is a {type(value).__name__}; it must be a torch.Tensor or "
            "None"
        )
    return value.float()


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, (bool, int, float)) else f"a {type(value).__name__}"
