"""A variant as operators of PyTorch: kernels on tensors, their fakes, their autograd. Registered by
torch.library alone, so that no version of PyTorch is compiled against."""

from __future__ import annotations

import hashlib
import keyword
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import _abi, _calls
from ._kernel import Binding, Kernel, Slot
from ._tensors import CPU, Layout, dense
from .errors import ArgumentError, UnsupportedError
from .variant import Variant

_LIBRARY = torch.library.Library("lathe", "FRAGMENT")
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


class Bound(NamedTuple):
    """A call of tensors of known layouts. Tensors are counted: those given, then those made."""

    binding: Binding
    copies: tuple[int, ...]  # what must be made dense before
    made: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    order: tuple[int, ...]  # the tensor of each slot that is given


class Roles(NamedTuple):
    """The slots of a kernel for any sizes, from one made for dims of 2."""

    initial: tuple[Slot, ...]
    final: tuple[Slot, ...]


class Operators:
    """``lathe::NAME_HASH`` and ``lathe::NAME_HASH_backward``. The hash is of the equation, so that
    what PyTorch keeps on disk about a graph never meets another equation of that name.

    forward:  tensors, initial states, cu_seqlens, consts, final -> outputs, final states
    backward: tensors, initial states, cu_seqlens, consts, cotangents of outputs and final states,
              wanted -> the gradients that are wanted, of tensors and initial states

    Final states that are not asked for have the shape [0].
    """

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        dims = {dim: 2 for dim in variant.dims if dim not in variant.derived}
        probe = Kernel(variant.handle, _abi.FORWARD, CPU, dims, "f32")
        self.roles = Roles(
            tuple(slot for slot in probe.slots if slot.role == "initial state"),
            tuple(slot for slot in probe.slots if slot.role == "final state"),
        )
        self.states = tuple(slot.operand for slot in self.roles.initial)
        self.given = (*variant.arguments, *self.states)
        # States of the compiler's own: the logarithms by which others are scaled. Outputs do not
        # depend on how a state is split into the two, so that these count as constants.
        self.scales = frozenset(self.states).difference(variant.states)
        self.counts = (len(variant.arguments), len(self.states), len(variant.constants))
        self._define()

    def _define(self) -> None:
        variant = self.variant
        digest = hashlib.sha256(f"{variant.name}\n{variant.text}".encode()).hexdigest()[:12]
        name = f"{variant.name}_{digest}"
        self.name = f"lathe::{name}"
        used: set[str] = {"cu_seqlens", "final", "wanted"}
        tensors = [f"Tensor {_identifier(each, used)}" for each in variant.arguments]
        states = [f"Tensor? {_identifier(each, used)}" for each in self.states]
        constants = [f"float? {_identifier(each, used)}" for each in variant.constants]
        takes = [*tensors, *states, "Tensor? cu_seqlens", *constants]
        gives = ", ".join(["Tensor"] * (len(variant.outputs) + len(self.states)))
        cotangents = [
            f"Tensor? {_identifier(f'd_{each}', used)}"
            for each in self._kept((*variant.outputs, *self.states))
        ]
        forward = f"{name}({', '.join([*takes, 'bool final'])}) -> ({gives})"
        backward = (
            f"{name}_backward({', '.join([*takes, *cotangents, 'bool[] wanted'])}) -> Tensor[]"
        )
        for schema, kernel, fake in (
            (forward, self.forward, self.fake_forward),
            (backward, self.backward, self.fake_backward),
        ):
            defined = _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
            for key in ("CPU", "CUDA"):
                _LIBRARY.impl(defined, kernel, key)
            torch.library.register_fake(f"lathe::{defined}", fake, lib=_LIBRARY)
        torch.library.register_autograd(
            self.name, self.autograd, setup_context=self.save, lib=_LIBRARY
        )
        torch.library.register_autograd(f"{self.name}_backward", self.no_autograd, lib=_LIBRARY)
        self.overload = getattr(torch.ops.lathe, name).default
        self.backward_overload = getattr(torch.ops.lathe, f"{name}_backward").default

    def _split(self, args: Sequence[Any]) -> tuple[list[Tensor | None], Any, Any, Any]:
        """Tensors with states, cu_seqlens, consts, the rest."""
        tensors, states, constants = self.counts
        given = tensors + states
        end = given + 1 + constants
        return list(args[:given]), args[given], args[given + 1 : end], args[end:]

    def _kept(self, values: Sequence[Any]) -> list[Any]:
        """Of a value for each output and final state, those that the backward pass takes."""
        names = (*self.variant.outputs, *self.states)
        return [value for name, value in zip(names, values) if name not in self.scales]

    # Kernels.

    def forward(self, *args: Any) -> tuple[Tensor, ...]:
        given, cu_seqlens, constants, (final,) = self._split(args)
        made = self._run(_abi.FORWARD, given, cu_seqlens, constants, final)
        if not final:
            made += [given[0].new_empty(0, dtype=torch.float32) for _ in self.states]
        return tuple(made)

    def backward(self, *args: Any) -> list[Tensor]:
        given, cu_seqlens, constants, rest = self._split(args)
        *cotangents, wanted = rest
        made = self._run(_abi.BACKWARD, [*given, *cotangents], cu_seqlens, constants, tuple(wanted))
        dtypes = [tensor.dtype for tensor, want in zip(given, wanted) if want]
        return [
            grad if grad.dtype == dtype else grad.to(dtype) for grad, dtype in zip(made, dtypes)
        ]

    def _run(
        self,
        pass_: int,
        given: list[Tensor | None],
        cu_seqlens: Tensor | None,
        constants: Sequence[float | None],
        asked: bool | tuple[bool, ...],
    ) -> list[Tensor]:
        key = (
            "torch",
            pass_,
            asked,
            tuple(constants),
            *[None if t is None else (t.shape, t.stride(), t.dtype, t.get_device()) for t in given],
            None
            if cu_seqlens is None
            else (cu_seqlens.shape, cu_seqlens.dtype, cu_seqlens.get_device()),
        )
        cache = self.variant._bindings
        bound = cache.get(key) or cache.add(
            key, self._bind(pass_, given, cu_seqlens, constants, asked)
        )
        for place in bound.copies:
            given[place] = given[place].contiguous()
        device = given[0].device
        # On a GPU, tokens may belong to no sequence, and are not written then.
        packed = cu_seqlens is not None and device.type == "cuda"
        make = torch.zeros if packed else torch.empty
        made = [make(shape, dtype=dtype, device=device) for shape, dtype in bound.made]
        tensors = given + made
        pointers = [tensors[place].data_ptr() for place in bound.order]
        sequences = 0
        if cu_seqlens is not None:
            cu_seqlens = cu_seqlens.contiguous()
            sequences = cu_seqlens.data_ptr()
        if device.type == "cuda":
            stream = torch.cuda.current_stream(device).cuda_stream

            def workspace(size: int) -> tuple[int, Tensor]:
                room = torch.empty(size, dtype=torch.uint8, device=device)
                room[:_HEAD].zero_()
                return room.data_ptr(), room

            bound.binding.launch(pointers, sequences, stream, workspace)
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
        asked: bool | tuple[bool, ...],
    ) -> Bound:
        variant = self.variant
        names = [*variant.arguments, *(f"initial {state}" for state in self.states)]
        if pass_ == _abi.BACKWARD:
            names += [f"d.{name}" for name in variant.outputs]
            names += [f"d.final {name}" for name in self.states if name not in self.scales]
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
        for name, layout in (*layouts.items(), ("cu_seqlens", packed)):
            if layout is not None and layout.device != device:
                raise ArgumentError(
                    f"{variant.name}: {name} is on {_calls.device_text(layout.device)}, "
                    f"{variant.arguments[0]} on {_calls.device_text(device)}; all must be on one "
                    "device"
                )
        where = "cuda" if device[0] == _CUDA else "cpu"
        if pass_ == _abi.BACKWARD and "backward" not in variant.passes[where]:
            raise UnsupportedError(
                f"{variant.name} has no backward pass on {_calls.device_text(device)}; passes "
                f"there: {', '.join(variant.passes[where]) or 'none'}. The CPU has "
                f"{', '.join(variant.passes['cpu'])}"
            )
        if (
            pass_ == _abi.FORWARD
            and where == "cuda"
            and geometry.tokens <= _STEP_TOKENS
            and "step" in variant.passes[where]
        ):
            pass_ = _abi.STEP
        states = {
            name: layouts[f"initial {name}"].dtype
            for name in self.states
            if f"initial {name}" in layouts and layouts[f"initial {name}"].dtype != "f32"
        }
        kernel = _calls.kernel_of(
            variant, pass_, device, geometry, _calls.dtypes_text(variant, layouts, states)
        )
        copies = tuple(
            place
            for place, name in enumerate(names)
            if name in layouts and not _is_bindable(kernel.roles[name], layouts[name])
        )
        for place in copies:
            layout = layouts[names[place]]
            layouts[names[place]] = layout._replace(strides=dense(layout.shape))
        written = self._written(pass_, kernel, asked)
        made = []
        for slot in written:
            shape = _calls.shape_of(slot, geometry, layouts)
            layouts[slot.name] = Layout(shape, dense(shape), slot.dtype, device)
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
        places = {name: place for place, name in enumerate([*names, *(s.name for s in written)])}
        order = tuple(places[slot.name] for slot in kernel.slots if slot.name in layouts)
        return Bound(binding, copies, tuple(made), order)

    def _written(self, pass_: int, kernel: Kernel, asked: bool | tuple[bool, ...]) -> list[Slot]:
        """What the operator gives, in its order."""
        if isinstance(asked, bool):
            names = list(self.variant.outputs)
            names += [f"final {state}" for state in self.states] if asked else []
        else:
            given = [*self.variant.arguments, *(f"initial {state}" for state in self.states)]
            names = [f"d.{name}" for name, want in zip(given, asked) if want]
        return [kernel.roles[name] for name in names]

    # Fakes: shapes and dtypes alone, also symbolic ones.

    def fake_forward(self, *args: Any) -> tuple[Tensor, ...]:
        given, cu_seqlens, _, (final,) = self._split(args)
        variant, first = self.variant, given[0]
        batch, tokens, heads = first.shape[:3]
        dims: dict[str, Any] = {}
        for operand, tensor in zip(self._declared(), given):
            leading = len(_calls.LEADING[operand.kind])
            dims.update(zip(operand.dims, tensor.shape[leading:]))
            heads = torch.sym_max(heads, tensor.shape[leading - 1])
        if any(dim not in dims for dim in variant.derived):
            known = {dim: int(size) for dim, size in dims.items()}
            dims = Kernel(variant.handle, _abi.FORWARD, CPU, known, "f32").about["dims"]
        outputs = {o.name: o for o in variant.operands if o.kind == "output"}
        made = [
            first.new_empty((batch, tokens, heads, *(dims[dim] for dim in outputs[name].dims)))
            for name in variant.outputs
        ]
        sequences = batch if cu_seqlens is None else cu_seqlens.shape[0] - 1
        for slot, state in zip(self.roles.final, given[len(variant.arguments) :]):
            shape = (sequences, heads, *(dims[axis] for axis in slot.axes[2:])) if final else (0,)
            dtype = state.dtype if final and state is not None else torch.float32
            made.append(first.new_empty(shape, dtype=dtype))
        return tuple(made)

    def fake_backward(self, *args: Any) -> list[Tensor]:
        given, _, _, rest = self._split(args)
        return [
            torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
            for tensor, want in zip(given, rest[-1])
            if want
        ]

    def _declared(self) -> list[Any]:
        by_name = {operand.name: operand for operand in self.variant.operands}
        return [by_name[name] for name in self.variant.arguments]

    # Autograd.

    def save(self, ctx: Any, inputs: Sequence[Any], output: Any) -> None:
        given, cu_seqlens, constants, (final,) = self._split(inputs)
        ctx.save_for_backward(*given, cu_seqlens)
        ctx.set_materialize_grads(False)
        ctx.constants, ctx.final = constants, final
        finals = zip(self.states, output[len(self.variant.outputs) :])
        ctx.mark_non_differentiable(*(last for name, last in finals if name in self.scales))

    def autograd(self, ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        *given, cu_seqlens = ctx.saved_tensors
        wanted = [
            tensor is not None and need and name not in self.scales
            for name, tensor, need in zip(self.given, given, ctx.needs_input_grad)
        ]
        if not ctx.final:
            outputs = len(self.variant.outputs)
            cotangents = cotangents[:outputs] + (None,) * len(self.states)
        gradients = iter(
            self.backward_overload(
                *given, cu_seqlens, *ctx.constants, *self._kept(cotangents), wanted
            )
        )
        rest = (None,) * (2 + len(ctx.constants))
        return (*(next(gradients) if want else None for want in wanted), *rest)

    def no_autograd(self, ctx: Any, *_: Any) -> None:
        raise UnsupportedError(
            f"{self.variant.name}: gradients of gradients are not computed; leave create_graph away"
        )


def _identifier(name: str, used: set[str]) -> str:
    """A name for a schema: those of the spec, but for those that a schema can't take."""
    name = name.replace(".", "_")
    while name in used or keyword.iskeyword(name):
        name += "_"
    used.add(name)
    return name


def _layout(name: str, tensor: Tensor) -> Layout:
    dtype = _NAMES.get(tensor.dtype)
    if dtype is None:
        raise ArgumentError(f"{name} is {tensor.dtype}; it must be float32, bfloat16 or float16")
    kind = {"cpu": CPU[0], "cuda": _CUDA}.get(tensor.device.type)
    if kind is None:
        raise ArgumentError(f"{name} is on {tensor.device}; it must be on the CPU or a CUDA device")
    return Layout(
        tuple(tensor.shape), tuple(tensor.stride()), dtype, (kind, max(0, tensor.get_device()))
    )


def _is_bindable(slot: Slot, layout: Layout) -> bool:
    """Whether a kernel takes a tensor as it lies; all are taken with their own axes dense."""
    leading = {"param": 0, "initial state": 2, "state cotangent": 2}.get(slot.role, 3)
    own, strides = layout.shape[leading:], layout.strides[leading:]
    if layout.device[0] == _CUDA and leading == 2 and len(own) == 2:
        return _is_dense(own, strides) or _is_dense(own[::-1], strides[::-1])
    return _is_dense(own, strides)


def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    return all(
        size <= 1 or stride == expected
        for size, stride, expected in zip(shape, strides, dense(tuple(shape)))
    )


def states_of(operators: Operators, given: Any) -> list[Tensor | None]:
    """An initial state for each state: a tensor where there is one, else a mapping of names."""
    names = operators.states
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise ArgumentError(
                    f"{operators.variant.name}: initial_state has a state {name}; the states are "
                    f"{', '.join(names)}"
                )
        return [given.get(name) for name in names]
    if len(names) > 1:
        raise ArgumentError(
            f"{operators.variant.name}: initial_state is a {type(given).__name__}; it must be a "
            f"mapping of {', '.join(names)}, as the variant has several states"
        )
    return [given]
