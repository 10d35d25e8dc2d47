"""One call of a variant on arrays of the CPU; what comes out is NumPy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy

from . import _abi, _calls
from ._kernel import Binding, Kernel, Slot
from ._tensors import CPU, View, view
from .errors import ArgumentError

if TYPE_CHECKING:
    from .variant import Variant

_MOST_THREADS = 1 << 16  # more than any machine has, and less than an int32 holds
_DTYPES = {"f32": numpy.float32, "f16": numpy.float16}


class Call:
    """Arguments that are checked as far as they can be without a kernel."""

    def __init__(
        self,
        variant: Variant,
        args: Sequence[Any],
        named: Mapping[str, Any],
        initial_state: Any,
        cu_seqlens: Any,
        threads: int,
    ) -> None:
        if not isinstance(threads, int):
            raise ArgumentError(
                f"{variant.name}: threads is a {type(threads).__name__}; it must be an int"
            )
        self.variant = variant
        values, self.constants = _calls.assign(variant, args, named)
        self.views = {
            name: self._view(name, value) for name, value in zip(variant.arguments, values)
        }
        self.layouts = {name: view.layout for name, view in self.views.items()}
        self.sequences = None if cu_seqlens is None else self._view("cu_seqlens", cu_seqlens)
        packed = None if self.sequences is None else self.sequences.layout
        key = (*self.layouts.values(), packed)
        geometry = variant._geometries.get(key)
        if geometry is None:
            measured = _calls.measure(variant, self.layouts, packed)
            geometry = variant._geometries.add(key, measured)
        self.geometry: _calls.Geometry = geometry
        self.initial_state = initial_state
        self.threads = min(threads, _MOST_THREADS)

    def _view(self, name: str, value: Any, written: bool = False) -> View:
        try:
            return view(name, value, written)
        except ArgumentError as error:
            raise ArgumentError(f"{self.variant.name}: {error}") from error.__cause__

    def _kernel(self, pass_: int, dtypes: Mapping[str, str] | None = None) -> Kernel:
        text = _calls.dtypes_text(self.variant, self.layouts, dtypes)
        return _calls.kernel_of(self.variant, pass_, CPU, self.geometry, text)

    def _states(self, kernel: Kernel, given: Any, what: str) -> dict[str, View]:
        names = [slot.operand for slot in kernel.slots if slot.role == "initial state"]
        states = _calls.states_of(self.variant, names, given, what)
        return {name: self._view(f"{what} {name}", value) for name, value in states.items()}

    def _new(self, slot: Slot) -> numpy.ndarray:
        shape = _calls.shape_of(slot, self.geometry, self.layouts)
        return numpy.empty(shape, _DTYPES[slot.dtype])

    def _launch(self, kernel: Kernel, given: Mapping[str, View]) -> None:
        views = [given.get(slot.name) for slot in kernel.slots]
        layouts = tuple(None if view is None else view.layout for view in views)
        constants = _calls.constants_of(kernel, self.constants)
        packed = None if self.sequences is None else self.sequences.layout
        key = (kernel, layouts, constants, packed)
        binding = self.variant._bindings.get(key)
        if binding is None:
            made = Binding(kernel, layouts, constants, packed)
            binding = self.variant._bindings.add(key, made)
        pointers = [view.pointer for view in views if view is not None]
        sequences = 0 if self.sequences is None else self.sequences.pointer
        binding.launch(pointers, sequences, threads=self.threads)

    def forward(self, output_final_state: bool, out: Mapping[str, Any]) -> tuple[Any, Any]:
        written = {name: self._view(name, value, True) for name, value in out.items()}
        first = self.layouts[self.variant.arguments[0]].dtype
        dtypes = {}
        for name in self.variant.outputs:
            dtype = written[name].layout.dtype if name in written else first
            if name not in written and dtype not in _DTYPES:
                dtype = "f32"
            if dtype != first:
                dtypes[name] = dtype
        kernel = self._kernel(_abi.FORWARD, dtypes)
        given: dict[str, View] = dict(self.views)
        for name, state in self._states(kernel, self.initial_state, "initial_state").items():
            given[f"initial {name}"] = state
        results: dict[str, Any] = {}
        for slot in kernel.slots:
            if slot.role == "output" or (slot.role == "final state" and output_final_state):
                results[slot.operand] = out.get(slot.operand)
                if results[slot.operand] is None:
                    results[slot.operand] = self._new(slot)
                name = slot.operand
                given[slot.name] = written.get(name) or self._view(name, results[name])
        for name in out:
            if name not in results:
                raise ArgumentError(
                    f"{self.variant.name}: out has {name}; it may have {', '.join(results)}"
                )
        self._launch(kernel, given)
        outputs = tuple(results.pop(name) for name in self.variant.outputs)
        last: Any = next(iter(results.values())) if len(results) == 1 else results
        return outputs[0] if len(outputs) == 1 else outputs, last if output_final_state else None

    def gradient(self, d_output: Any, d_state: Any) -> dict[str, Any]:
        kernel = self._kernel(_abi.BACKWARD)
        given: dict[str, View] = dict(self.views)
        for name, state in self._states(kernel, self.initial_state, "initial_state").items():
            given[f"initial {name}"] = state
        for name, value in self._states(kernel, d_state, "d_state").items():
            given[f"d.final {name}"] = value
        for name, value in self._outputs(d_output).items():
            given[f"d.{name}"] = self._view(f"d_output {name}", value)
        results = {}
        for slot in kernel.slots:
            if not slot.written or slot.dtype not in _DTYPES:
                continue
            results[slot.operand] = self._new(slot)
            given[slot.name] = self._view(slot.name, results[slot.operand])
        self._launch(kernel, given)
        return results

    def _outputs(self, given: Any) -> dict[str, Any]:
        names = self.variant.outputs
        if given is None:
            return {}
        if isinstance(given, Mapping):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise ArgumentError(
                    f"{self.variant.name}: d_output has {unknown[0]}; the outputs are "
                    f"{', '.join(names)}"
                )
            return {name: value for name, value in given.items() if value is not None}
        several = given if isinstance(given, tuple) else (given,)
        if len(several) != len(names):
            raise ArgumentError(
                f"{self.variant.name}: d_output has {len(several)} arrays; the outputs are "
                f"{', '.join(names)}"
            )
        return {name: value for name, value in zip(names, several) if value is not None}
