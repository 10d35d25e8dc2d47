"""What the tensors of a call say together: sizes, dtypes, the kernel, the shapes of what comes out.
What the kernel itself checks (batch, tokens, heads, strides) is left to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ._kernel import Kernel, Slot
from ._tensors import FLOATS, Layout
from .errors import ArgumentError

if TYPE_CHECKING:
    from .variant import Variant

LEADING = {"input": ("batch", "tokens", "heads"), "param": ("heads",)}


class Geometry(NamedTuple):
    """The sizes of a call."""

    dims: tuple[tuple[str, int], ...]
    batch: int
    tokens: int
    heads: int  # of the outputs and states
    sequences: int

    def size(self, axis: str) -> int:
        return getattr(self, axis) if axis in Geometry._fields else dict(self.dims)[axis]


def assign(variant: Variant, args: Sequence[Any], named: Mapping[str, Any]) -> tuple[list, dict]:
    """The tensors in the order of the spec, inputs then params, and the consts that are given."""
    if len(args) > len(variant.arguments):
        raise ArgumentError(
            f"{variant.name} takes {len(variant.arguments)} tensors by position, not {len(args)}: "
            f"{variant.signature}"
        )
    values: dict[str, Any] = dict(zip(variant.arguments, args))
    constants = {}
    for name, value in named.items():
        if name in values:
            raise ArgumentError(f"{variant.name} got {name} twice: by position and by name")
        if name in variant.arguments:
            values[name] = value
        elif name in variant.constants:
            if value is not None:
                constants[name] = _number(variant, name, value)
        else:
            raise ArgumentError(
                f"{variant.name} has no argument {name}; it takes {variant.signature}"
            )
    missing = [name for name in variant.arguments if values.get(name) is None]
    if missing:
        raise ArgumentError(
            f"{variant.name} needs {', '.join(missing)} as well: {variant.signature}"
        )
    return [values[name] for name in variant.arguments], constants


def _number(variant: Variant, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{variant.name}: {name} is a {type(value).__name__}; it must be a number"
        ) from None


def measure(
    variant: Variant, layouts: Mapping[str, Layout], cu_seqlens: Layout | None = None
) -> Geometry:
    """The sizes that the shapes of inputs and params give. Throws ArgumentError for a wrong number
    of axes, a wrong dtype, or two sizes of one dimension."""
    dims: dict[str, tuple[int, str]] = {}
    heads, first = 0, variant.arguments[0]
    for operand in variant.operands:
        leading = LEADING.get(operand.kind)
        if leading is None:
            continue
        name, layout = operand.name, layouts[operand.name]
        axes = (*leading, *operand.dims)
        if len(layout.shape) != len(axes):
            raise ArgumentError(
                f"{variant.name}: {name} has {len(layout.shape)} axes, {list(layout.shape)}; it "
                f"must have {len(axes)}: [{', '.join(axes)}]"
            )
        check_dtype(variant, name, layout, FLOATS)
        heads = max(heads, layout.shape[len(leading) - 1])
        for dim, size in zip(operand.dims, layout.shape[len(leading) :]):
            known, owner = dims.setdefault(dim, (size, name))
            if known != size:
                raise ArgumentError(
                    f"{variant.name}: {dim} is {size} in {name} {list(layout.shape)}, but {known} "
                    f"in {owner} {list(layouts[owner].shape)}"
                )
    batch, tokens = layouts[first].shape[:2]
    sequences = batch
    if cu_seqlens is not None:
        check_dtype(variant, "cu_seqlens", cu_seqlens, ("i32", "i64"))
        if len(cu_seqlens.shape) != 1 or not cu_seqlens.shape[0]:
            raise ArgumentError(
                f"{variant.name}: cu_seqlens has the shape {list(cu_seqlens.shape)}; it must be "
                "[sequences + 1]"
            )
        sequences = cu_seqlens.shape[0] - 1
    sizes = tuple((dim, dims[dim][0]) for dim in variant.dims if dim in dims)
    return Geometry(sizes, batch, tokens, heads, sequences)


def check_dtype(variant: Variant, name: str, layout: Layout, accepted: Sequence[str]) -> None:
    if layout.dtype not in accepted:
        raise ArgumentError(
            f"{variant.name}: {name} is {layout.dtype}; it must be {' or '.join(accepted)}"
        )


def check_devices(variant: Variant, layouts: Mapping[str, Layout]) -> None:
    first = variant.arguments[0]
    for name, layout in layouts.items():
        if layout.device != layouts[first].device:
            raise ArgumentError(
                f"{variant.name}: {name} is on {device_text(layout.device)}, {first} on "
                f"{device_text(layouts[first].device)}; all must be on one device"
            )


def device_text(device: tuple[int, int]) -> str:
    kinds = {1: "the CPU", 2: f"GPU {device[1]}"}
    return kinds.get(device[0], f"DLPack device {device[0]}:{device[1]}")


def dtypes_text(
    variant: Variant,
    layouts: Mapping[str, Layout],
    others: Mapping[str, str] | None = None,
) -> str:
    """As lathe_options takes it: outputs have the dtype of the first input, params and states are
    f32 but where they are something else. `others` adds dtypes by name."""
    base = layouts[variant.arguments[0]].dtype
    usual = {"input": base, "param": "f32"}
    found = {
        operand.name: layouts[operand.name].dtype
        for operand in variant.operands
        if operand.kind in usual and layouts[operand.name].dtype != usual[operand.kind]
    }
    found.update(others or {})
    return ",".join([base, *(f"{name}={dtype}" for name, dtype in found.items())])


def kernel_of(
    variant: Variant, pass_: int, device: tuple[int, int], geometry: Geometry, dtypes: str
) -> Kernel:
    """The kernel for a call. Shapes count by powers of two, as tuning does, so that sequences of
    any length need few kernels."""
    tokens = geometry.batch * geometry.tokens // max(1, geometry.sequences)
    lines = geometry.sequences * geometry.heads
    shape = (1, _power_below(tokens), _power_below(lines))
    key = (pass_, device, geometry.dims, dtypes, shape)
    kernel = variant._kernels.get(key)
    if kernel is None:
        made = Kernel(variant.handle, pass_, device, dict(geometry.dims), dtypes, shape)
        kernel = variant._kernels.add(key, made)
    return kernel


def _power_below(value: int) -> int:
    return 1 << (max(1, value).bit_length() - 1)


def shape_of(slot: Slot, geometry: Geometry, layouts: Mapping[str, Layout]) -> tuple[int, ...]:
    """Of a tensor that is written; the gradient of an input with fewer heads has fewer as well."""
    if slot.role == "gradient":
        return layouts[slot.operand].shape
    return tuple(
        geometry.size(axis) if size is None else size for axis, size in zip(slot.axes, slot.sizes)
    )


def constants_of(kernel: Kernel, given: Mapping[str, float]) -> tuple[float, ...]:
    """In the order of the kernel; none where all are the spec's own."""
    if not given:
        return ()
    return tuple(given.get(name, default) for name, default in kernel.constants.items())


def states_of(variant: Variant, names: Sequence[str], given: Any, what: str) -> dict[str, Any]:
    """Values for the states of a kernel, by name: one value where there is one state, else a
    mapping of some of them."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(names) > 1:
            raise ArgumentError(
                f"{variant.name}: {what} is a {type(given).__name__}; it must be a mapping of "
                f"{', '.join(names)}, as the variant has several states"
            )
        return {names[0]: given}
    for name in given:
        if name not in names:
            raise ArgumentError(
                f"{variant.name}: {what} has a state {name}; the states are {', '.join(names)}"
            )
    return {name: value for name, value in given.items() if value is not None}
