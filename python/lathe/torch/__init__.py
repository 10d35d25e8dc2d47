"""Variants as operators of PyTorch, on the CPU and on GPUs.

    op = lathe.torch.op("gla")
    o, state = op(q, k, v, g, initial_state=state, output_final_state=True, scale=0.125)

An operator is known to autograd, to ``torch.compile`` (no graph breaks) and to autocast, runs on
the current stream, and may be captured in a CUDA graph once it has run. Needs PyTorch 2.4.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .. import _calls, _torch
from ..errors import ArgumentError
from ..variant import Variant, find

__all__ = ["Op", "op"]

_made: dict[tuple[str, str], _torch.Operators] = {}
_lock = threading.Lock()


class Op:
    """A variant as a function of tensors, differentiable in all of them. Made by `op`.

    Attributes:
        variant: The `lathe.Variant`.
        overload: The registered operator, as ``torch.library.opcheck`` takes it.
    """

    def __init__(self, operators: _torch.Operators) -> None:
        self.variant = operators.variant
        self.overload = operators.overload
        self._operators = operators
        self._count = len(self.variant.arguments)
        self._outputs = len(self.variant.outputs)
        self._states = operators.states
        self._cast = tuple(
            operand.kind == "input" and not operand.log for operand in operators._declared()
        )
        self.__name__ = self.variant.name
        self.__doc__ = f"{self.variant.signature}\n\n{Op.__call__.__doc__}"

    def __repr__(self) -> str:
        return f"<lathe.torch.Op {self.variant.signature}>"

    # As its variant: modules that hold it are copied and pickled.
    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, _: Any) -> Op:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return op, (self.variant,)

    def __call__(
        self,
        *args: Tensor,
        initial_state: Tensor | Mapping[str, Tensor] | None = None,
        output_final_state: bool = False,
        cu_seqlens: Tensor | None = None,
        **named: Any,
    ) -> tuple[Any, Any]:
        """Computes outputs, and states if asked for.

        Inputs are ``[B, T, H', dims]``, where H' divides the heads H of the outputs; params
        ``[H, dims]``; states ``[N, H, dims]``, N the number of sequences. They are float32,
        bfloat16 or float16, all on one device, of any strides; what is not dense along its last
        axis is copied.

        Under autocast, inputs are cast to its dtype, but for log-decays; these, params and states
        stay as they are.

        Args:
            *args: Inputs, then params, in the order of the spec; all of them also by name.
            initial_state: The state before the first token: a tensor where the variant has one
                state, else a mapping of names to tensors. None: zero. On the CPU it is computed
                with in float32.
            output_final_state: Whether to give the state after the last token.
            cu_seqlens: int32 or int64 ``[N + 1]``: sequence n has the tokens from ``cu_seqlens[n]``
                to ``cu_seqlens[n + 1]`` of the one row of the batch. On the CPU they go from 0 to
                the number of tokens. None: a row is a sequence.
            **named: Tensors by name, and numbers for the consts of the spec (``scale=0.125``).

        Returns:
            ``(o, state)``. o is ``[B, T, H, dims]`` (a tuple where the variant has several outputs)
            of the dtype of the first input. state is None unless asked for: a tensor, or a dict
            where the variant has several; float32, but for the dtype of an `initial_state` on a
            GPU. Tokens that belong to no sequence are zero.

        Raises:
            ArgumentError: An argument breaks one of these rules.
            UnsupportedError: There is no kernel for it there; gradients on a GPU are one such case.
        """
        if named or len(args) != self._count:
            values, given = _calls.assign(self.variant, args, named)
            args = tuple(values)
            constants = [given.get(name) for name in self.variant.constants]
        else:
            constants = [None] * len(self.variant.constants)
        for name, value in zip(self.variant.arguments, args):
            if not isinstance(value, Tensor):
                raise self._no_tensor(name, value, "a torch.Tensor")
        where = args[0].device
        for name, value in zip(self.variant.arguments, args):
            if value.device != where:
                raise ArgumentError(
                    f"{self.variant.name}: {name} is on {value.device}; "
                    f"{self.variant.arguments[0]} is on {where}; all must be on one device"
                )
        if cu_seqlens is not None and not isinstance(cu_seqlens, Tensor):
            raise self._no_tensor("cu_seqlens", cu_seqlens, "a torch.Tensor or None")
        device = where.type
        states: list[Tensor | None] = [None] * len(self._states)
        if initial_state is not None:
            own = _calls.states_of(self.variant, self._states, initial_state, "initial_state")
            states = [own.get(name) for name in self._states]
            for name, state in zip(self._states, states):
                if state is not None and not isinstance(state, Tensor):
                    what = f"initial_state {name}"
                    raise self._no_tensor(what, state, "a torch.Tensor or None")
            if device == "cpu":
                states = [None if state is None else state.float() for state in states]
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            args = tuple(
                value.to(dtype) if cast and value.is_floating_point() else value
                for value, cast in zip(args, self._cast)
            )
        results = self.overload(*args, *states, cu_seqlens, *constants, output_final_state)
        outputs, finals = results[: self._outputs], results[self._outputs :]
        output = outputs[0] if self._outputs == 1 else tuple(outputs)
        if not output_final_state:
            return output, None
        if len(finals) == 1:
            return output, finals[0]
        return output, dict(zip(self._states, finals))

    def _no_tensor(self, name: str, value: Any, accepted: str) -> ArgumentError:
        return ArgumentError(
            f"{self.variant.name}: {name} is a {type(value).__name__}; it must be {accepted}"
        )


def op(variant: str | Variant) -> Op:
    """The operator of a variant: of the library by its name, or one of `lathe.compile`.

    Raises:
        ArgumentError: There is no such variant in the library.
    """
    found = find(variant)
    key = (found.name, found.text)
    with _lock:
        operators = _made.get(key)
        if operators is None:
            operators = _made[key] = _torch.Operators(found)
    return Op(operators)
