"""The kernels of a variant on PyTorch's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import _abi, _calls
from ._kernel import Binding, Slot
from ._tensors import CPU, Layout, dense
from .errors import ArgumentError, UnsupportedError
from .variant import Variant

_CUDA = 2  # kDLCUDA
_HEAD = 65536  # bytes of a workspace that must be zero before its first use
_STEP_TOKENS = 8
_THREADS = torch.get_num_threads()  # until someone sets another number, as tuned

_TORCH = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
_NAMES = {
    **{dtype: name for name, dtype in _TORCH.items()},
    torch.int32: "i32",
    torch.int64: "i64",
}

#: Which results a call gives: of a forward pass whether final states, of a backward pass which
#: gradients of what is given.
Asked = bool | tuple[bool, ...]


class Bound(NamedTuple):
    """A call of tensors of known layouts. Tensors are counted: those given, then those made."""

    binding: Binding
    copies: tuple[int, ...]  # what must be made dense before
    made: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    order: tuple[int, ...]  # the tensor of each slot that is given


class Calls:
    """Launches of a variant. `states` are those of its kernels, `scales` the ones among them that
    have no gradient."""

    def __init__(self, variant: Variant, states: tuple[str, ...], scales: frozenset[str]) -> None:
        self.variant = variant
        forward = [*variant.arguments, *(f"initial {state}" for state in states)]
        cotangents = [f"d.{name}" for name in variant.outputs]
        cotangents += [f"d.final {name}" for name in states if name not in scales]
        #: The slots of what a pass is given, and of all that it can give.
        self.given = {_abi.FORWARD: forward, _abi.BACKWARD: forward + cotangents}
        self.gradients = [f"d.{name}" for name in forward]
        self.outputs = list(variant.outputs)
        self.finals = [f"final {state}" for state in states]

    def run(
        self,
        pass_: int,
        given: list[Tensor],
        cu_seqlens: Tensor | None,
        constants: tuple[float | None, ...],
        asked: Asked,
    ) -> list[Tensor]:
        """Some of `given`, but not the first, may be None: states and cotangents."""
        key = (
            pass_,
            asked,
            constants,
            None
            if cu_seqlens is None
            else (cu_seqlens.shape, cu_seqlens.dtype, cu_seqlens.get_device()),
            *[None if t is None else (t.shape, t.stride(), t.dtype, t.get_device()) for t in given],
        )
        cache = self.variant._bindings
        bound = cache.get(key)
        if bound is None:
            bound = cache.add(key, self._bind(pass_, given, cu_seqlens, constants, asked))
        for place in bound.copies:
            given[place] = given[place].contiguous()
        device = given[0].device
        is_cuda = device.type == "cuda"
        # On a GPU, tokens may belong to no sequence, and are not written then.
        make = torch.zeros if is_cuda and cu_seqlens is not None else torch.empty
        made = [make(shape, dtype=dtype, device=device) for shape, dtype in bound.made]
        tensors = given + made
        pointers = [tensors[place].data_ptr() for place in bound.order]
        sequences = 0
        if cu_seqlens is not None:
            cu_seqlens = cu_seqlens.contiguous()
            sequences = cu_seqlens.data_ptr()
        if is_cuda:
            stream = torch.cuda.current_stream(device).cuda_stream
            bound.binding.launch(pointers, sequences, stream, lambda size: _workspace(size, device))
        else:
            threads = torch.get_num_threads()
            bound.binding.launch(pointers, sequences, threads=0 if threads == _THREADS else threads)
        return made

    def _bind(
        self,
        pass_: int,
        given: Sequence[Tensor | None],
        cu_seqlens: Tensor | None,
        constants: Sequence[float | None],
        asked: Asked,
    ) -> Bound:
        variant, names = self.variant, self.given[pass_]
        layouts = {
            name: _layout(f"{variant.name}: {name}", tensor)
            for name, tensor in zip(names, given)
            if tensor is not None
        }
        packed = None
        if cu_seqlens is not None:
            packed = _layout(f"{variant.name}: cu_seqlens", cu_seqlens)
            packed = packed._replace(strides=dense(packed.shape))
        geometry = _calls.measure(variant, layouts, packed)
        device = layouts[variant.arguments[0]].device
        _calls.check_devices(variant, layouts | ({"cu_seqlens": packed} if packed else {}))
        states = {
            name[len("initial ") :]: layout.dtype
            for name, layout in layouts.items()
            if name.startswith("initial ") and layout.dtype != "f32"
        }
        kernel = _calls.kernel_of(
            variant,
            self._pass_on(device, pass_, geometry.tokens),
            device,
            geometry,
            _calls.dtypes_text(variant, layouts, states),
        )
        copies = tuple(
            place
            for place, name in enumerate(names)
            if name in layouts and not _is_bindable(kernel.roles[name], layouts[name])
        )
        for place in copies:
            layout = layouts[names[place]]
            layouts[names[place]] = layout._replace(strides=dense(layout.shape))
        written = self._written(asked)
        made = []
        for name in written:
            slot = kernel.roles[name]
            shape = _calls.shape_of(slot, geometry, layouts)
            layouts[name] = Layout(shape, dense(shape), slot.dtype, device)
            made.append((shape, _TORCH[slot.dtype]))
        known = {
            name: value for name, value in zip(variant.constants, constants) if value is not None
        }
        binding = Binding(
            kernel,
            [layouts.get(slot.name) for slot in kernel.slots],
            _calls.constants_of(kernel, known),
            packed,
        )
        places = {name: place for place, name in enumerate([*names, *written])}
        order = tuple(places[slot.name] for slot in kernel.slots if slot.name in layouts)
        return Bound(binding, copies, tuple(made), order)

    def _pass_on(self, device: tuple[int, int], pass_: int, tokens: int) -> int:
        """The pass of the device that computes it. Throws UnsupportedError."""
        passes = self.variant.passes["cuda" if device[0] == _CUDA else "cpu"]
        if pass_ == _abi.BACKWARD and "backward" not in passes:
            raise UnsupportedError(
                f"{self.variant.name} has no backward pass on {_calls.device_text(device)}, but: "
                f"{', '.join(passes) or 'none'}; the CPU has "
                f"{', '.join(self.variant.passes['cpu'])}"
            )
        is_step = device[0] == _CUDA and tokens <= _STEP_TOKENS and "step" in passes
        return _abi.STEP if is_step and pass_ == _abi.FORWARD else pass_

    def _written(self, asked: Asked) -> list[str]:
        """The slots of what the call gives, in its order."""
        if isinstance(asked, bool):
            return self.outputs + (self.finals if asked else [])
        return [name for name, want in zip(self.gradients, asked) if want]


def _workspace(size: int, device: torch.device) -> tuple[int, Tensor]:
    room = torch.empty(size, dtype=torch.uint8, device=device)
    room[:_HEAD].zero_()
    return room.data_ptr(), room


def _layout(name: str, tensor: Tensor) -> Layout:
    dtype = _NAMES.get(tensor.dtype)
    if dtype is None:
        raise ArgumentError(f"{name} is {tensor.dtype}; it must be float32, bfloat16 or float16")
    kind = {"cpu": CPU[0], "cuda": _CUDA}.get(tensor.device.type)
    if kind is None:
        raise ArgumentError(f"{name} is on {tensor.device}; it must be on the CPU or a CUDA device")
    device = (kind, max(0, tensor.get_device()))
    return Layout(tuple(tensor.shape), tuple(tensor.stride()), dtype, device)


def _is_bindable(slot: Slot, layout: Layout) -> bool:
    """Whether a kernel takes a tensor as it lies; all are taken with their own axes dense."""
    leading = {"param": 0, "initial state": 2, "state cotangent": 2}.get(slot.role, 3)
    own, strides = layout.shape[leading:], layout.strides[leading:]
    if layout.device[0] == _CUDA and leading == 2 and len(own) == 2:
        return _is_dense(own, strides) or _is_dense(own[::-1], strides[::-1])
    return _is_dense(own, strides)


def _is_dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    return all(
        size <= 1 or stride == expected
        for size, stride, expected in zip(shape, strides, dense(shape))
    )
