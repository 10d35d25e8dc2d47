"""The C ABI (lathe.h) by ctypes. Nothing here or above is linked to Python or PyTorch, so that one
library serves all versions of both."""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_size_t, c_void_p

from . import errors

VERSION = 1  # LATHE_ABI_VERSION of the header that this file transcribes
FORWARD, BACKWARD, STEP = range(3)  # lathe_pass
TUNING = {"off": 0, "lookup": 1, "tune": 2}  # lathe_tuning

_STATUS = {
    1: errors.ArgumentError,
    2: errors.SpecError,
    3: errors.UnsupportedError,
    4: errors.DeviceError,
    5: errors.OutOfMemoryError,
}


class Options(ctypes.Structure):
    """lathe_options"""

    _fields_ = [
        ("struct_size", c_size_t),
        ("pass_", c_int32),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("dims", c_char_p),
        ("dtypes", c_char_p),
        ("batch", c_int64),
        ("tokens", c_int64),
        ("heads", c_int64),
    ]


class Call(ctypes.Structure):
    """lathe_call; pointers are addresses."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("tensors", c_void_p),
        ("tensor_count", c_size_t),
        ("constants", c_void_p),
        ("constant_count", c_size_t),
        ("cu_seqlens", c_void_p),
        ("slots", c_void_p),
        ("workspace", c_void_p),
        ("workspace_bytes", c_size_t),
        ("threads", c_int32),
    ]


_SIGNATURES = {
    "lathe_abi_version": (c_int32, []),
    "lathe_version": (c_char_p, []),
    "lathe_last_error": (c_char_p, []),
    "lathe_compile": (c_int32, [c_char_p, c_char_p, c_char_p, POINTER(c_void_p)]),
    "lathe_load": (c_int32, [c_char_p, POINTER(c_void_p)]),
    "lathe_variant_json": (c_char_p, [c_void_p]),
    "lathe_variant_free": (None, [c_void_p]),
    "lathe_prepare": (c_int32, [c_void_p, POINTER(Options), POINTER(c_void_p)]),
    "lathe_kernel_json": (c_char_p, [c_void_p]),
    "lathe_kernel_free": (None, [c_void_p]),
    "lathe_workspace": (c_int32, [c_void_p, c_void_p, POINTER(c_size_t)]),
    "lathe_launch": (c_int32, [c_void_p, c_void_p, c_void_p]),
    "lathe_set_tuning": (c_int32, [c_int32]),
    "lathe_cache_json": (c_char_p, []),
    "lathe_cache_prune": (c_int32, [ctypes.c_uint64, POINTER(ctypes.c_uint64)]),
}


def _path() -> pathlib.Path:
    named = os.environ.get("LATHE_LIBRARY")
    path = pathlib.Path(named) if named else pathlib.Path(__file__).parent / "lib/liblathe.so"
    if not path.is_file():
        how = (
            "unset LATHE_LIBRARY, or name a liblathe.so"
            if named
            else "install the package with pip, or name a liblathe.so in LATHE_LIBRARY"
        )
        raise errors.DeviceError(f"liblathe is not at {path}: {how}")
    return path


@functools.cache
def library() -> ctypes.CDLL:
    """liblathe, loaded when it is first needed: from LATHE_LIBRARY, else from this package."""
    path = _path()
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise errors.DeviceError(f"{path} can't be loaded: {error}") from error
    try:
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise errors.DeviceError(f"{path} is no liblathe of this version: {error}") from error
    found = loaded.lathe_abi_version()
    if found != VERSION:
        raise errors.DeviceError(
            f"{path} has version {found} of Lathe's ABI; this package needs version {VERSION}"
        )
    return loaded


def error_of(status: int) -> errors.LatheError:
    """The exception for a status that is not 0, with this thread's text."""
    text = library().lathe_last_error().decode()
    return _STATUS.get(status, errors.InternalError)(text)


def check(status: int) -> None:
    if status:
        raise error_of(status)
