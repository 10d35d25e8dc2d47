"""Arrays of any library as strided memory: NumPy's own, and whatever speaks DLPack."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy

from .errors import ArgumentError

# DLDataTypeCode and bits (dlpack.h) of what Lathe computes with, and of lists of integers.
DTYPES = {"f32": (2, 32), "bf16": (4, 16), "f16": (2, 16), "i32": (0, 32), "i64": (0, 64)}
NAMES = {code: name for name, code in DTYPES.items()}
FLOATS = ("f32", "bf16", "f16")
CPU = (1, 0)  # DLDevice: kDLCPU, device 0

_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_NUMPY = {
    numpy.dtype(numpy.float32): "f32",
    numpy.dtype(numpy.float16): "f16",
    numpy.dtype(numpy.int32): "i32",
    numpy.dtype(numpy.int64): "i64",
}


class DLTensor(ctypes.Structure):
    """dlpack.h: a tensor that someone else owns. Strides count elements."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class View(NamedTuple):
    """A tensor as a call sees it. Two views with equal `layout` are bound alike."""

    pointer: int
    layout: Layout
    owner: Any  # keeps the memory alive


class Layout(NamedTuple):
    """Everything about a tensor but where it lies."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements
    dtype: str  # a key of DTYPES
    device: tuple[int, int]  # DLDevice: type, id


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose last axis is the fastest."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def view(name: str, value: Any, written: bool = False) -> View:
    """`value` as strided memory of this process; `name` is the argument that errors speak of."""
    if isinstance(value, numpy.ndarray):
        return _of_numpy(name, value, written)
    if type(value).__name__ == "PyCapsule":
        return _of_capsule(name, value)
    export = getattr(value, "__dlpack__", None)
    if export is None:
        raise ArgumentError(
            f"{name} is a {type(value).__name__}; it must be an array: NumPy's, or anything with "
            "__dlpack__"
        )
    device = tuple(int(part) for part in value.__dlpack_device__())
    if device[0] != CPU[0]:
        raise ArgumentError(
            f"{name} is on DLPack device {device[0]}:{device[1]}; a call of a variant takes memory "
            "of the CPU (PyTorch's tensors of a GPU go through lathe.torch)"
        )
    try:
        capsule = export()
    except (BufferError, RuntimeError, TypeError) as error:
        raise ArgumentError(
            f"{name} can't be exported through DLPack: {error} (for gradients through PyTorch, use "
            "lathe.torch)"
        ) from error
    return _of_capsule(name, capsule)


def _of_numpy(name: str, array: numpy.ndarray, written: bool) -> View:
    dtype = _NUMPY.get(array.dtype)
    if dtype is None:
        order = "" if array.dtype.isnative else " in foreign byte order"
        raise ArgumentError(f"{name} is {array.dtype.name}{order}; {_accepted()}")
    interface = array.__array_interface__
    if written and interface["data"][1]:
        raise ArgumentError(f"{name} is read-only; it is written, so it must be writable")
    size = array.itemsize
    strides = array.strides
    if any(stride % size for stride in strides):
        raise ArgumentError(
            f"{name} has strides of {strides} bytes; they must be multiples of its element's {size}"
        )
    # NumPy gives arrays without elements strides of 0.
    strides = (
        tuple(stride // size for stride in array.strides) if array.size else dense(array.shape)
    )
    layout = Layout(array.shape, strides, dtype, CPU)
    return View(interface["data"][0], layout, array)


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
_is_capsule = ctypes.pythonapi.PyCapsule_IsValid
_is_capsule.restype = ctypes.c_int
_is_capsule.argtypes = [ctypes.py_object, ctypes.c_char_p]


def _of_capsule(name: str, capsule: Any) -> View:
    """A DLManagedTensor begins with its DLTensor; the capsule frees it when it is collected."""
    if not _is_capsule(capsule, b"dltensor"):
        raise ArgumentError(
            f"{name} is a capsule that holds no DLPack tensor, or one that is used up; it must be "
            "one named 'dltensor'"
        )
    tensor = DLTensor.from_address(_pointer_of(capsule, b"dltensor"))
    dtype = NAMES.get((tensor.code, tensor.bits))
    if dtype is None or tensor.lanes != 1:
        found = f"{_KINDS.get(tensor.code, f'DLPack type {tensor.code}, bits ')}{tensor.bits}"
        raise ArgumentError(f"{name} is {found}; {_accepted()}")
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] for axis in range(tensor.ndim)) if tensor.strides else ()
    if not tensor.strides or 0 in shape:
        strides = dense(shape)
    pointer = (tensor.data or 0) + tensor.byte_offset
    layout = Layout(shape, strides, dtype, (tensor.device_type, tensor.device_id))
    return View(pointer, layout, capsule)


def _accepted() -> str:
    return "accepted are float32, float16 and bfloat16, and int32 and int64 for lists"
