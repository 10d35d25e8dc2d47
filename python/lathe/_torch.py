"""A variant as operators of PyTorch: kernels on tensors, their fakes, their autograd. Registered by
torch.library alone, so that no version of PyTorch is compiled against."""

from __future__ import annotations

import hashlib
import keyword
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import _abi, _calls
from ._kernel import Kernel
from ._tensors import CPU
from ._torch_calls import Calls
from .errors import UnsupportedError
from .variant import Variant

_LIBRARY = torch.library.Library("lathe", "FRAGMENT")


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
        finals = [slot for slot in probe.slots if slot.role == "final state"]
        self.states = tuple(slot.operand for slot in finals)
        self.state_dims = tuple(slot.axes[2:] for slot in finals)
        self.given = (*variant.arguments, *self.states)
        # States of the compiler's own: the logarithms by which others are scaled. Outputs do not
        # depend on how a state is split into the two, so that these count as constants.
        self.scales = frozenset(self.states).difference(variant.states)
        self.counts = (len(self.given), len(variant.constants))
        self.calls = Calls(variant, self.states, self.scales)
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
        self.overload = getattr(torch.ops.lathe, name).default
        self.backward_overload = getattr(torch.ops.lathe, f"{name}_backward").default
        _LIBRARY.impl(name, self._differentiable(self.overload, _Forward), "Autograd")
        _LIBRARY.impl(
            f"{name}_backward", self._differentiable(self.backward_overload, _Backward), "Autograd"
        )

    def _differentiable(self, overload: Any, function: type[torch.autograd.Function]) -> Any:
        """What autograd calls in place of an overload. torch.library.register_autograd does as
        much in twice the time."""

        def call(*args: Any) -> Any:
            wants = any(isinstance(each, Tensor) and each.requires_grad for each in args)
            if wants and torch.is_grad_enabled():
                made = function.apply(self, *args)
                return list(made) if function is _Backward else made
            with torch._C._AutoDispatchBelowAutograd():
                return overload(*args)

        return call

    def _split(self, args: tuple[Any, ...]) -> tuple[list[Any], Any, tuple[Any, ...], Any]:
        """Tensors with states, cu_seqlens, consts, the rest."""
        given, constants = self.counts
        end = given + 1 + constants
        return list(args[:given]), args[given], args[given + 1 : end], args[end:]

    def _kept(self, values: Sequence[Any]) -> list[Any]:
        """Of a value for each output and final state, those that the backward pass takes."""
        names = (*self.variant.outputs, *self.states)
        return [value for name, value in zip(names, values) if name not in self.scales]

    # Kernels.

    def forward(self, *args: Any) -> tuple[Tensor, ...]:
        given, cu_seqlens, constants, (final,) = self._split(args)
        made = self.calls.run(_abi.FORWARD, given, cu_seqlens, constants, final)
        if not final:
            made += [given[0].new_empty(0, dtype=torch.float32) for _ in self.states]
        return tuple(made)

    def backward(self, *args: Any) -> list[Tensor]:
        given, cu_seqlens, constants, rest = self._split(args)
        *cotangents, wanted = rest
        outputs = len(self.variant.outputs)
        # A state may be of half precision on a GPU; what flows back into one is fp32.
        cotangents[outputs:] = [None if x is None else x.float() for x in cotangents[outputs:]]
        made = self.calls.run(
            _abi.BACKWARD, given + cotangents, cu_seqlens, constants, tuple(wanted)
        )
        dtypes = [tensor.dtype for tensor, want in zip(given, wanted) if want]
        return [
            grad if grad.dtype == dtype else grad.to(dtype) for grad, dtype in zip(made, dtypes)
        ]

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
        for own, state in zip(self.state_dims, given[len(variant.arguments) :]):
            shape = (sequences, heads, *(dims[dim] for dim in own)) if final else (0,)
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

    def save(self, ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
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
            for name, tensor, need in zip(self.given, given, ctx.needs_input_grad[1:])
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
        return (None, *(next(gradients) if want else None for want in wanted), *rest)


class _Forward(torch.autograd.Function):
    """Of `Operators` and the arguments of its forward operator."""

    @staticmethod
    def forward(ctx: Any, operators: Operators, *args: Any) -> tuple[Tensor, ...]:
        with torch._C._AutoDispatchBelowAutograd():
            made = operators.overload(*args)
        operators.save(ctx, args, made)
        ctx.operators = operators
        return made

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        return ctx.operators.autograd(ctx, *cotangents)


class _Backward(torch.autograd.Function):
    """Of `Operators` and the arguments of its backward operator."""

    @staticmethod
    def forward(ctx: Any, operators: Operators, *args: Any) -> tuple[Tensor, ...]:
        ctx.variant = operators.variant
        with torch._C._AutoDispatchBelowAutograd():
            return tuple(operators.backward_overload(*args))

    @staticmethod
    def backward(ctx: Any, *_: Any) -> None:
        raise UnsupportedError(
            f"{ctx.variant.name}: gradients of gradients are not computed; leave create_graph away"
        )


def _identifier(name: str, used: set[str]) -> str:
    """A name for a schema: those of the spec, but for those that a schema can't take."""
    name = name.replace(".", "_")
    while name in used or keyword.iskeyword(name):
        name += "_"
    used.add(name)
    return name
