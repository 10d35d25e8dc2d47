"""Lathe: equations of linear attention, compiled into kernels.

    import lathe

    gla = lathe.load("gla")                  # or lathe.compile(text)
    o, state = gla(q, k, v, g, output_final_state=True)

Arrays are NumPy's, or anything with ``__dlpack__`` in the memory of the CPU. `lathe.torch` has the
same as PyTorch operators, with autograd, on the CPU and on GPUs.
"""

from . import _abi
from .errors import (
    ArgumentError,
    DeviceError,
    InternalError,
    LatheError,
    OutOfMemoryError,
    SpecError,
    UnsupportedError,
)
from .variant import Operand, Remark, Variant, compile, load

__all__ = [
    "ArgumentError",
    "DeviceError",
    "InternalError",
    "LatheError",
    "Operand",
    "OutOfMemoryError",
    "Remark",
    "SpecError",
    "UnsupportedError",
    "Variant",
    "compile",
    "load",
    "set_tuning",
    "version",
]


def version() -> str:
    """Of the library that computes, as ``"0.1.0"``."""
    return _abi.library().lathe_version().decode()


def set_tuning(mode: str) -> None:
    """What kernels prepared from now on, on all threads, know of earlier measurements: ``"lookup"``
    what was tuned for about their shape (the default), ``"off"`` nothing, ``"tune"`` measures what
    was never tuned, which takes a while, and remembers it.

    Raises:
        ArgumentError: There is no such mode.
    """
    if mode not in _abi.TUNING:
        raise ArgumentError(f"tuning mode {mode!r}; it must be one of {', '.join(_abi.TUNING)}")
    _abi.check(_abi.library().lathe_set_tuning(_abi.TUNING[mode]))


def __getattr__(name: str) -> str:
    if name == "__version__":
        return version()
    raise AttributeError(f"module 'lathe' has no attribute {name!r}")
