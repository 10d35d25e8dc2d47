"""A variant as a function of JAX: XLA's calls, the rules of reverse differentiation and of vmap."""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy

from . import _abi, _calls
from ._kernel import Kernel
from ._tensors import CPU, Layout, dense
from .errors import ArgumentError, DeviceError
from .variant import Variant

TARGET = "lathe_launch"
_NAMES = {
    jnp.dtype(jnp.float32): "f32",
    jnp.dtype(jnp.bfloat16): "bf16",
    jnp.dtype(jnp.float16): "f16",
    jnp.dtype(jnp.int32): "i32",
    jnp.dtype(jnp.int64): "i64",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}


@functools.cache
def register() -> None:
    """Tells XLA of the handlers in liblathe_jax, which lies beside liblathe."""
    _abi.library()  # liblathe_jax needs it in the process
    named = os.environ.get("LATHE_JAX_LIBRARY")
    path = pathlib.Path(named) if named else _abi._path().parent / "liblathe_jax.so"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise DeviceError(
            f"{path} can't be loaded: {error}; it is built where jaxlib is installed, or name one "
            "in LATHE_JAX_LIBRARY"
        ) from error
    for platform, symbol in (("cpu", "latheLaunchOnCpu"), ("CUDA", "latheLaunchOnCuda")):
        handler = jax.ffi.pycapsule(getattr(library, symbol))
        jax.ffi.register_ffi_target(TARGET, handler, platform=platform)


class Call(NamedTuple):
    """What of a call is known when it is traced."""

    functions: Functions
    constants: tuple[float | None, ...]
    final: bool  # whether final states are wanted


class Functions:
    """Of one variant. Tensors are inputs and params in the order of the spec; states may be
    None."""

    def __init__(self, variant: Variant) -> None:
        register()
        self.variant = variant
        dims = {dim: 2 for dim in variant.dims if dim not in variant.derived}
        probe = Kernel(variant.handle, _abi.FORWARD, CPU, dims, "f32")
        self.states = tuple(slot.operand for slot in probe.slots if slot.role == "final state")
        # The logarithms by which states are scaled count as constants: see lathe.torch.
        self.scales = frozenset(self.states).difference(variant.states)
        self.given = (*variant.arguments, *(f"initial {state}" for state in self.states))
        self.outputs = variant.outputs
        self.finals = tuple(f"final {state}" for state in self.states)
        kept = (*self.outputs, *self.finals)
        self.cotangents = tuple(
            f"d.{name}" for name in kept if name.removeprefix("final ") not in self.scales
        )
        kinds = {operand.name: operand.kind for operand in variant.operands}
        self.are_params = frozenset(name for name in self.given if kinds.get(name) == "param")

    def launch(
        self,
        pass_: int,
        constants: Sequence[float | None],
        given: dict[str, Any],
        starts: Any,
        wanted: tuple[str, ...],
    ) -> list[Any]:
        """The tensors `wanted` of a pass, from those that are given by name."""
        names = tuple(given)

        def call(*values: Any) -> list[Any]:
            own = dict(zip(names, values))
            return self._call(pass_, constants, own, own.pop("cu_seqlens", None), wanted)

        batched = jax.custom_batching.custom_vmap(call)

        @batched.def_vmap
        def rule(size: int, are_batched: Sequence[bool], *values: Any) -> Any:
            return self._merge(pass_, constants, names, size, are_batched, values, wanted)

        if starts is None:
            return batched(*given.values())
        names = (*names, "cu_seqlens")
        return batched(*given.values(), starts)

    def _call(
        self,
        pass_: int,
        constants: Sequence[float | None],
        given: dict[str, Any],
        starts: Any,
        wanted: tuple[str, ...],
    ) -> list[Any]:
        variant = self.variant
        layouts = {name: _layout(f"{variant.name}: {name}", x) for name, x in given.items()}
        packed = None if starts is None else _layout(f"{variant.name}: cu_seqlens", starts)
        geometry = _calls.measure(variant, layouts, packed)
        dtypes = _calls.dtypes_text(variant, layouts)
        # Shapes and dtypes of what comes out do not depend on the device.
        kernel = _calls.kernel_of(variant, pass_, CPU, geometry, dtypes)
        results = []
        for name in wanted:
            slot = kernel.roles[name]
            shape = _calls.shape_of(slot, geometry, layouts)
            results.append(jax.ShapeDtypeStruct(shape, _DTYPES[slot.dtype]))
        known = {
            name: value for name, value in zip(variant.constants, constants) if value is not None
        }
        arguments = dict(given) if starts is None else {**given, "cu_seqlens": starts}
        run = jax.ffi.ffi_call(TARGET, results)
        tokens = geometry.batch * geometry.tokens // max(1, geometry.sequences)
        made = run(
            *arguments.values(),
            text=variant.text,
            variant=variant.name,
            dims=",".join(f"{dim}={size}" for dim, size in geometry.dims),
            dtypes=dtypes,
            arguments=",".join(arguments),
            results=",".join(wanted),
            **{"pass": numpy.int32(pass_)},
            has_step="step" in variant.passes["cuda"],
            constants=numpy.array(_calls.constants_of(kernel, known), numpy.float64),
            shape=numpy.array([geometry.sequences, tokens, geometry.heads], numpy.int64),
        )
        return list(made)

    def _merge(
        self,
        pass_: int,
        constants: Sequence[float | None],
        names: tuple[str, ...],
        size: int,
        are_batched: Sequence[bool],
        values: Sequence[Any],
        wanted: tuple[str, ...],
    ) -> tuple[list[Any], list[bool]]:
        """A batch more, as more rows of the batch; where params or packed sequences belong to all
        rows, as more heads, each with params of its own."""
        by_name = dict(zip(names, zip(values, are_batched)))
        starts, is_batched = by_name.pop("cu_seqlens", (None, False))
        if is_batched:
            raise ArgumentError(
                f"{self.variant.name}: cu_seqlens is mapped over; all of a vmap must have the same"
            )
        by_heads = starts is not None or not self.are_params.isdisjoint(by_name)
        merged = {}
        for name, (x, has_axis) in by_name.items():
            x = x if has_axis else jnp.broadcast_to(x, (size, *x.shape))
            axis = self._heads_axis(name) if by_heads else 0
            x = jnp.moveaxis(x, 0, axis)
            merged[name] = x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
        made = self.launch(pass_, constants, merged, starts, wanted)
        results = []
        for name, x in zip(wanted, made):
            axis = self._heads_axis(name.removeprefix("d.")) if by_heads else 0
            x = x.reshape(*x.shape[:axis], size, -1, *x.shape[axis + 1 :])
            results.append(jnp.moveaxis(x, axis, 0))
        return results, [True] * len(results)

    def _heads_axis(self, name: str) -> int:
        name = name.removeprefix("d.")
        if name in self.are_params:
            return 0
        return 1 if name.startswith(("initial ", "final ")) else 2


def _layout(name: str, x: Any) -> Layout:
    dtype = _NAMES.get(jnp.dtype(x.dtype))
    if dtype is None:
        raise ArgumentError(f"{name} is {x.dtype}; it must be float32, bfloat16 or float16")
    return Layout(tuple(x.shape), dense(tuple(x.shape)), dtype, CPU)


def _given(functions: Functions, tensors: Sequence[Any], states: Sequence[Any]) -> dict[str, Any]:
    values = zip(functions.given, (*tensors, *states))
    return {name: value for name, value in values if value is not None}


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def apply(call: Call, tensors: Sequence[Any], states: Sequence[Any], starts: Any) -> list[Any]:
    """Outputs, and final states where they are wanted."""
    return _run(call, tensors, states, starts)


def _run(call: Call, tensors: Sequence[Any], states: Sequence[Any], starts: Any) -> list[Any]:
    functions = call.functions
    wanted = functions.outputs + (functions.finals if call.final else ())
    given = _given(functions, tensors, states)
    return functions.launch(_abi.FORWARD, call.constants, given, starts, wanted)


def _forward(call: Call, tensors: Any, states: Any, starts: Any) -> tuple[list[Any], Any]:
    return _run(call, tensors, states, starts), (tensors, states, starts)


def _backward(call: Call, saved: Any, cotangents: Sequence[Any]) -> tuple[Any, ...]:
    tensors, states, starts = saved
    functions = call.functions
    given = _given(functions, tensors, states)
    kept = (*functions.outputs, *functions.finals)
    sent = {f"d.{name}": value for name, value in zip(kept, cotangents)}
    wanted = tuple(
        f"d.{name}" for name in given if name.removeprefix("initial ") not in functions.scales
    )
    sent = {name: value for name, value in sent.items() if name in functions.cotangents}
    made = functions.launch(_abi.BACKWARD, call.constants, given | sent, starts, wanted)
    gradients = {
        name.removeprefix("d."): x.astype(given[name.removeprefix("d.")].dtype)
        for name, x in zip(wanted, made)
    }
    values = [gradients.get(name) for name in functions.given]
    count = len(tensors)
    zeros = [
        jnp.zeros_like(state) if state is not None and grad is None else grad
        for state, grad in zip(states, values[count:])
    ]
    return tuple(values[:count]), tuple(zeros), None


apply.defvjp(_forward, _backward)
