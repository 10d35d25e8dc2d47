"""Prepared kernels, and calls of them that cost few microseconds: everything that follows from the
layouts of the tensors is worked out once and kept."""

from __future__ import annotations

import ctypes
import json
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from . import _abi
from ._tensors import DTYPES, DLTensor, Layout

_TENSOR_WORDS = ctypes.sizeof(DLTensor) // 8  # the first is the pointer to the data
_CALL_WORDS = -(-ctypes.sizeof(_abi.Call) // 8)


class Slot(NamedTuple):
    """A tensor that a launch takes (lathe_kernel_json)."""

    name: str  # "q", "initial S", "d.q"
    operand: str  # the name in the spec
    role: str  # "input", "param", "output", "initial state", ...
    dtype: str
    axes: tuple[str, ...]
    sizes: tuple[int | None, ...]  # None: as the call has it
    written: bool
    optional: bool


class Kernel:
    """One pass of a variant, made for a device, dims and dtypes (lathe_prepare)."""

    def __init__(
        self,
        variant: int,
        pass_: int,
        device: tuple[int, int],
        dims: dict[str, int],
        dtypes: str,
        shape: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        library = _abi.library()
        text = ",".join(f"{name}={size}" for name, size in dims.items())
        options = _abi.Options(
            ctypes.sizeof(_abi.Options), pass_, *device, text.encode(), dtypes.encode(), *shape
        )
        handle = ctypes.c_void_p()
        _abi.check(library.lathe_prepare(variant, ctypes.byref(options), ctypes.byref(handle)))
        self.handle = handle.value
        # Not at exit: threads may still run, and the process gives everything back.
        weakref.finalize(self, library.lathe_kernel_free, handle.value).atexit = False
        self.about: dict[str, Any] = json.loads(library.lathe_kernel_json(handle.value))
        self.slots = tuple(
            Slot(**{field: _frozen(slot[field]) for field in Slot._fields})
            for slot in self.about["tensors"]
        )
        self.constants = {each["name"]: each["default"] for each in self.about["constants"]}
        self.roles = {slot.name: slot for slot in self.slots}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Binding:
    """A call but for its pointers: a kernel, and tensors of known layouts, one for each of its
    slots (None: absent). Any number of threads may launch it."""

    def __init__(
        self,
        kernel: Kernel,
        layouts: Sequence[Layout | None],
        constants: Sequence[float],
        cu_seqlens: Layout | None,
    ) -> None:
        self.kernel = kernel
        self._given = [place for place, layout in enumerate(layouts) if layout is not None]
        self._layouts = [*layouts, cu_seqlens]
        self._constants = (ctypes.c_double * len(constants))(*constants)
        self._axes = [
            _integers(() if layout is None else (*layout.shape, *layout.strides))
            for layout in self._layouts
        ]
        self._free: list[_Frame] = []  # frames that no thread uses now
        self._workspace_bytes: int | None = None  # follows from the layouts: asked for once

    def launch(
        self,
        pointers: Sequence[int],
        cu_seqlens: int = 0,
        stream: int | None = None,
        workspace: Callable[[int], tuple[int, Any]] | None = None,
        threads: int = 0,
    ) -> None:
        """Runs with the data at `pointers`, one for each slot that is given, in their order.
        `workspace` makes the memory that the kernel asks for: bytes to (pointer, owner)."""
        try:
            frame = self._free.pop()
        except IndexError:
            frame = _Frame(self)
        words = frame.words
        for place, pointer in zip(frame.data, pointers, strict=True):
            words[place] = pointer
        if cu_seqlens:
            words[frame.sequences] = cu_seqlens
        frame.call.threads = threads
        owner = None
        if workspace is not None:
            size = self._workspace_bytes
            if size is None:
                size = self._workspace_bytes = self._ask(frame)
            pointer, owner = workspace(size) if size else (0, None)
            frame.call.workspace, frame.call.workspace_bytes = pointer, size
        status = _abi.library().lathe_launch(self.kernel.handle, frame.address, stream)
        if status:
            raise _abi.error_of(status)
        self._free.append(frame)
        del owner  # until here: on a GPU, whoever made it keeps it until the stream is done with it

    def _ask(self, frame: _Frame) -> int:
        """The bytes of workspace that a launch needs (lathe_workspace)."""
        size = ctypes.c_size_t()
        _abi.check(
            _abi.library().lathe_workspace(self.kernel.handle, frame.address, ctypes.byref(size))
        )
        return size.value


class _Frame:
    """The structs of one call, behind each other: DLTensors, pointers to them, lathe_call."""

    def __init__(self, binding: Binding) -> None:
        layouts, axes = binding._layouts, binding._axes
        count = len(layouts) - 1
        pointers = (count + 1) * _TENSOR_WORDS
        call = pointers + count
        self.words = (ctypes.c_uint64 * (call + _CALL_WORDS))()
        base = ctypes.addressof(self.words)
        for place, layout in enumerate(layouts):
            if layout is None:
                continue
            tensor = DLTensor.from_buffer(self.words, place * _TENSOR_WORDS * 8)
            code, bits = DTYPES[layout.dtype]
            rank = len(layout.shape)
            address = ctypes.addressof(axes[place])
            tensor.device_type, tensor.device_id = layout.device
            tensor.ndim, tensor.code, tensor.bits, tensor.lanes = rank, code, bits, 1
            tensor.shape = ctypes.cast(address, ctypes.POINTER(ctypes.c_int64))
            tensor.strides = ctypes.cast(address + 8 * rank, ctypes.POINTER(ctypes.c_int64))
            if place < count:
                self.words[pointers + place] = base + place * _TENSOR_WORDS * 8
        self.data = [place * _TENSOR_WORDS for place in binding._given]
        self.sequences = count * _TENSOR_WORDS
        self.call = _abi.Call.from_buffer(self.words, call * 8)
        self.call.struct_size = ctypes.sizeof(_abi.Call)
        self.call.tensors, self.call.tensor_count = base + pointers * 8, count
        if len(binding._constants):
            self.call.constants = ctypes.addressof(binding._constants)
            self.call.constant_count = len(binding._constants)
        if layouts[count] is not None:
            self.call.cu_seqlens = base + self.sequences * 8
        self.address = base + call * 8


def _integers(values: Sequence[int]) -> Any:
    return (ctypes.c_int64 * max(1, len(values)))(*values)


Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values of the keys added last. Two threads may make the same value; the first stays."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        return self._values.get(key)

    def add(self, key: Hashable, value: Value) -> Value:
        with self._lock:
            kept = self._values.setdefault(key, value)
            while len(self._values) > self.limit:
                self._values.popitem(last=False)
            return kept
