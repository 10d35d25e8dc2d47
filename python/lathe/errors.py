"""What can go wrong, as exceptions. Each text says what was asked, which rule broke, and what would
be accepted."""


class LatheError(Exception):
    """Every error of Lathe."""


class SpecError(LatheError, ValueError):
    """A spec has mistakes: for each, the text is ``file:line:column: error: ...``, the line, and a
    caret below what is wrong."""


class ArgumentError(LatheError, ValueError):
    """An argument breaks a rule: the text names it, what it was, and what it must be. Nothing was
    computed and nothing was written."""


class UnsupportedError(LatheError, NotImplementedError):
    """What was asked for is right, but no kernel computes it on that device."""


class DeviceError(LatheError, RuntimeError):
    """There is no GPU, driver, NVRTC or liblathe, or one of them refused."""


class OutOfMemoryError(LatheError, MemoryError):
    """The memory of the process or of the device did not suffice."""


class InternalError(LatheError, RuntimeError):
    """A mistake of Lathe itself."""
