"""Variants as functions of JAX, on the CPU and on GPUs.

    op = lathe.jax.op("gla")
    o, state = jax.jit(op)(q, k, v, g)
    o, state = op(q, k, v, g, initial_state=state, output_final_state=True, scale=0.125)

A function goes through ``jax.jit``, ``jax.grad`` (reverse mode, of inputs, params and initial
states), ``jax.vmap`` over a batch, and on the current device. Needs JAX 0.6.
"""

from __future__ import annotations

import threading
from typing import Any

import jax
import jax.numpy as jnp

from . import _calls, _jax
from .variant import Variant, find

__all__ = ["Op", "op"]

_made: dict[tuple[str, str], _jax.Functions] = {}
_lock = threading.Lock()


class Op:
    """A variant as a function of arrays, differentiable in all of them. Made by `op`.

    Attributes:
        variant: The `lathe.Variant`.
    """

    def __init__(self, functions: _jax.Functions) -> None:
        self.variant = functions.variant
        self._functions = functions
        self.__name__ = self.variant.name
        self.__doc__ = f"{self.variant.signature}\n\n{Op.__call__.__doc__}"

    def __repr__(self) -> str:
        return f"<lathe.jax.Op {self.variant.signature}>"

    def __call__(
        self,
        *args: Any,
        initial_state: Any = None,
        output_final_state: bool = False,
        cu_seqlens: Any = None,
        **named: Any,
    ) -> tuple[Any, Any]:
        """Computes outputs, and states if asked for.

        Inputs are ``[B, T, H', dims]``, where H' divides the heads H of the outputs; params
        ``[H, dims]``; states ``[N, H, dims]`` in float32, N the number of sequences. Each is
        float32, bfloat16 or float16.

        Args:
            *args: Inputs, then params, in the order of the spec; all of them also by name.
            initial_state: The state before the first token: an array where the variant has one
                state, else a mapping of names to arrays. None: zero.
            output_final_state: Whether to give the state after the last token; not traced.
            cu_seqlens: int32 ``[N + 1]``, from 0 to the number of tokens: sequence n has the tokens
                from ``cu_seqlens[n]`` to ``cu_seqlens[n + 1]`` of the one row of the batch. None: a
                row is a sequence.
            **named: Arrays by name, and Python's numbers for the consts of the spec.

        Returns:
            ``(o, state)``. o is ``[B, T, H, dims]`` (a tuple where the variant has several outputs)
            of the dtype of the first input. state is None unless asked for: an array, or a dict
            where the variant has several.

        Raises:
            ArgumentError: An argument breaks one of these rules, as far as shapes and dtypes say
                so; what only a kernel can know is an error of XLA when it runs.
        """
        functions = self._functions
        values, constants = _calls.assign(self.variant, args, named)
        tensors = tuple(jnp.asarray(value) for value in values)
        states = _states(functions, initial_state)
        starts = None if cu_seqlens is None else jnp.asarray(cu_seqlens)
        call = _jax.Call(
            functions,
            tuple(constants.get(name) for name in self.variant.constants),
            bool(output_final_state),
        )
        results = _jax.apply(call, tensors, states, starts)
        count = len(functions.outputs)
        outputs, finals = results[:count], results[count:]
        output = outputs[0] if count == 1 else tuple(outputs)
        if not output_final_state:
            return output, None
        return output, finals[0] if len(finals) == 1 else dict(zip(functions.states, finals))


def _states(functions: _jax.Functions, given: Any) -> tuple[Any, ...]:
    """An initial state for each state, in float32, or None."""
    own = _calls.states_of(functions.variant, functions.states, given, "initial_state")
    values = (own.get(name) for name in functions.states)
    return tuple(
        None if value is None else jnp.asarray(value).astype(jnp.float32) for value in values
    )


def op(variant: str | Variant) -> Op:
    """The function of a variant: of the library by its name, or one of `lathe.compile`.

    Raises:
        ArgumentError: There is no such variant in the library.
        DeviceError: The package was built without jaxlib.
    """
    found = find(variant)
    key = (found.name, found.text)
    with _lock:
        functions = _made.get(key)
        if functions is None:
            functions = _made[key] = _jax.Functions(found)
    return Op(functions)
