"""A compiled equation, and calls of it on arrays of the CPU."""

from __future__ import annotations

import ctypes
import json
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import _abi, _numpy
from ._kernel import Recent
from .errors import ArgumentError


class Operand(NamedTuple):
    """A named tensor or number of a variant, as the spec declares it."""

    name: str
    kind: str  #: "input", "param", "constant", "output" or "state"
    dims: tuple[str, ...]  #: of one token and head
    log: bool  #: a log-decay, at most 0

    def __str__(self) -> str:
        return self.name + (f"[{', '.join(self.dims)}]" if self.dims else "")


class Remark(NamedTuple):
    """What the compiler says about a line of the spec."""

    line: int
    column: int
    text: str


class Variant:
    """One equation of linear attention. Made by `lathe.load` and `lathe.compile`.

    Calling it computes the forward pass, `gradient` the gradients; both may run on several threads
    at once. For PyTorch's autograd and GPUs there is `lathe.torch.op`.

    Attributes:
        name: ``"gla"``.
        text: The whole text of the spec, `file` what its messages call it.
        dims: Names of the dimensions: ``("K", "V")``; `derived`: those whose size follows.
        operands: All `Operand`, in the order of the spec, states last.
        remarks: All `Remark` of the compiler; `warnings`: those of what is probably a mistake.
        passes: ``{"cpu": ("forward", "backward", ...), "cuda": (...)}``.
        arguments: Names of inputs, then params: the order of arguments by position.
        inputs, params, constants, outputs, states: Names of each kind.
    """

    def __init__(self, handle: ctypes.c_void_p) -> None:
        library = _abi.library()
        self.handle: int = handle.value or 0
        weakref.finalize(self, library.lathe_variant_free, handle.value).atexit = False
        about = json.loads(library.lathe_variant_json(handle))
        self.name: str = about["name"]
        self.file: str = about["file"]
        self.text: str = about["text"]
        self.dims: tuple[str, ...] = tuple(about["dims"])
        self.operands = tuple(
            Operand(each["name"], each["kind"], tuple(each["dims"]), each.get("log", False))
            for each in about["operands"]
        )
        self.remarks, self.warnings = (
            tuple(Remark(each["line"], each["column"], each["text"]) for each in about[kind])
            for kind in ("remarks", "warnings")
        )
        self.derived = tuple(each["dim"] for each in about["derived"])
        self.passes = {device: tuple(names) for device, names in about["passes"].items()}
        self.inputs = self._names("input")
        self.params = self._names("param")
        self.constants = self._names("constant")
        self.outputs = self._names("output")
        self.states = self._names("state")
        self.arguments = self.inputs + self.params
        self._kernels: Recent = Recent(256)
        self._bindings: Recent = Recent(1024)
        self._geometries: Recent = Recent(1024)

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(operand.name for operand in self.operands if operand.kind == kind)

    @property
    def signature(self) -> str:
        """``gla(q[K], k[K], v[V], g[K] in log, scale) -> o[V], S[K, V]``."""
        by_kind = {
            kind: [
                f"{operand} in log" if operand.log else str(operand)
                for operand in self.operands
                if operand.kind == kind
            ]
            for kind in ("input", "param", "constant", "output", "state")
        }
        takes = by_kind["input"] + by_kind["param"] + by_kind["constant"]
        gives = by_kind["output"] + by_kind["state"]
        return f"{self.name}({', '.join(takes)}) -> {', '.join(gives)}"

    def __repr__(self) -> str:
        return f"<lathe.Variant {self.signature}>"

    # A variant never changes, so that it is its own copy; another process compiles it again.
    def __copy__(self) -> Variant:
        return self

    def __deepcopy__(self, _: Any) -> Variant:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _compiled, (self.text, self.file, self.name)

    def __call__(
        self,
        *args: Any,
        initial_state: Any = None,
        output_final_state: bool = False,
        cu_seqlens: Any = None,
        out: Mapping[str, Any] | None = None,
        threads: int = 0,
        **named: Any,
    ) -> tuple[Any, Any]:
        """The forward pass on the CPU.

        Inputs are ``[batch, tokens, heads', dims]``, where heads' may be fewer than heads, which
        it divides; params ``[heads, dims]``; states ``[sequences, heads, dims]`` in float32. Each
        is a NumPy array or anything with ``__dlpack__``, float32, float16 or bfloat16, of any
        strides whose last axis is dense; nothing is copied.

        Args:
            *args: Inputs, then params, in the order of the spec; all of them also by name.
            initial_state: The state before the first token: an array where the variant has one
                state, else a mapping of names to arrays. None: zero.
            output_final_state: Whether to give the state after the last token.
            cu_seqlens: int32 or int64 ``[sequences + 1]``, from 0 to the number of tokens:
                sequence n has the tokens from ``cu_seqlens[n]`` to ``cu_seqlens[n + 1]`` of the one
                row of the batch. None: a row is a sequence.
            out: Arrays to write instead of new ones, by the names of outputs and states.
            threads: How many to use; 0: as tuned, else one for each processor.
            **named: Tensors by name, and values for the consts of the spec.

        Returns:
            ``(o, state)``. o is the output ``[batch, tokens, heads, dims]`` (a tuple of them where
            the variant has several), of the dtype of the first input, float32 where that is
            bfloat16. state is None unless asked for; an array, or a dict where there are several.

        Raises:
            ArgumentError: An argument breaks one of these rules.
        """
        call = _numpy.Call(self, args, named, initial_state, cu_seqlens, threads)
        return call.forward(output_final_state, out or {})

    def gradient(
        self,
        *args: Any,
        d_output: Any = None,
        d_state: Any = None,
        initial_state: Any = None,
        cu_seqlens: Any = None,
        threads: int = 0,
        **named: Any,
    ) -> dict[str, Any]:
        """The gradients of a loss on the CPU.

        Args:
            *args, initial_state, cu_seqlens, threads, **named: As for a call.
            d_output: What the loss sends back to the output, in its shape (a mapping by name, or a
                tuple, where there are several). None: nothing.
            d_state: What it sends back to the final state, float32, as `initial_state` is given.

        Returns:
            By name: for inputs in their own shape (the sum over what reads it, where an input has
            fewer heads), for params ``[heads, dims]``, for consts one number, for states the
            gradient of the initial state, ``[sequences, heads, dims]``. Those of bfloat16 inputs
            are left out, as NumPy has no such dtype.

        Raises:
            ArgumentError: As for a call.
        """
        call = _numpy.Call(self, args, named, initial_state, cu_seqlens, threads)
        return call.gradient(d_output, d_state)


def load(name: str) -> Variant:
    """A variant of the library by its name, as ``"gla"``: see the table in docs/recurrences.md. A
    folder named in the environment variable LATHE_VARIANTS is looked into first.

    Raises:
        ArgumentError: There is no such variant; the text lists those there are.
    """
    handle = ctypes.c_void_p()
    _abi.check(_abi.library().lathe_load(_text("name", name), ctypes.byref(handle)))
    return Variant(handle)


def find(variant: str | Variant) -> Variant:
    """Of the library by its name, or what `compile` gave."""
    found = load(variant) if isinstance(variant, str) else variant
    if not isinstance(found, Variant):
        raise ArgumentError(
            f"variant is a {type(variant).__name__}; it must be a name of the library, or what "
            "lathe.compile gives"
        )
    return found


def compile(text: str, *, file: str = "spec", name: str | None = None) -> Variant:
    """A variant from the text of its equation (docs/language.md).

    Args:
        text: One or more variants.
        file: What messages call it.
        name: Which variant of the text; None: the only one.

    Raises:
        SpecError: The text has mistakes; each is shown with its line and a caret.
        ArgumentError: There are several variants and no name, or none of that name.
    """
    handle = ctypes.c_void_p()
    wanted = None if name is None else _text("name", name)
    _abi.check(
        _abi.library().lathe_compile(
            _text("text", text), _text("file", file), wanted, ctypes.byref(handle)
        )
    )
    return Variant(handle)


def _compiled(text: str, file: str, name: str) -> Variant:
    return compile(text, file=file, name=name)


def _text(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise _abi.errors.ArgumentError(f"{name} is a {type(value).__name__}; it must be a str")
    encoded = value.encode()
    if b"\0" in encoded:
        raise _abi.errors.ArgumentError(f"{name} holds a NUL character, which ends text in C")
    return encoded
