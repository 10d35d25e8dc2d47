"""The equations of flash-linear-attention's operators, put together from what a call asks for:
gates made in the kernel, normed keys, sigmoids and the like are lines of the spec, not passes of
their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from .. import compile as compile_spec
from ..torch import Op
from ..torch import op as operator_of


class Equation(NamedTuple):
    """What one operator computes with the arguments that it was given. `K` are the channels of
    keys, `V` those of values."""

    name: str
    query: str = "q"
    decays: tuple[str, ...] = ()  # log-decays of a token: "g", "g[K]", "gv[V]"
    head_decay: str = ""  # a log-decay of a head: "g_gamma"
    gate: str = ""  # what "g" or "g[K]" is before it becomes a log-decay
    gate_expression: str = ""  # the log-decay made of it
    gate_params: tuple[str, ...] = ()
    gate_constants: tuple[str, ...] = ()
    is_normed: bool = False  # q and k are of length one
    delta: str = ""  # "delta": the delta rule; "removal": a feedback of its own, a and b
    rate: str = ""  # of the delta rule: "beta" or "beta[V]"; nothing: 1
    rate_expression: str = ""  # what becomes of the rate
    bonus: str = ""  # of a token's own value, whose read is above the update: "u[K]"
    is_normalized: bool = False  # by a sum over the keys
    is_reverse: bool = False

    def text(self) -> str:
        """The spec."""
        query, way = self.query, " in reverse" if self.is_reverse else ""
        removal = ", a[K], b[K]" if self.delta == "removal" else ""
        lines = [f"input {query}[K], k[K], v[V]{removal}"]
        lines += [f"input {decay} in log" for decay in self.decays]
        lines += [f"input {raw}" for raw in (self.gate, self.rate) if raw]
        lines += [f"param {self.head_decay} in log"] if self.head_decay else []
        lines += [f"param {param}" for param in (*self.gate_params, self.bonus) if param]
        lines += [f"const {constant}" for constant in self.gate_constants]
        lines += ["const scale = 1 / sqrt(K)"]
        key = "k"
        if self.is_normed:
            lines += [f"let qn = l2norm({query})", "let kn = l2norm(k)"]
            query, key = "qn", "kn"
        logs = [_name(decay) for decay in (*self.decays, self.head_decay) if decay]
        if self.gate:
            lines += [f"let log_decay = {self.gate_expression}"]
            logs += ["log_decay"]
        rate = _name(self.rate)
        if self.rate_expression:
            lines += [f"let rate = {self.rate_expression}"]
            rate = "rate"
        z = f", z[K]{way}" if self.is_normalized else ""
        lines += [f"state S[K, V]{way}{z}"]
        read = f"scale * ({query} @ S)"
        decay = " * ".join(f"exp({log})" for log in logs)
        decayed = f"{decay} * S" if decay else "S"
        if self.bonus:
            own = f"({query} @ ({_name(self.bonus)} * {key})) * v"
            lines += [f"output o[V] = scale * ({query} @ S + {own})"]
        if self.delta == "delta":
            lines += [f"S <- {decayed}"] if decay else []
            change = f"(v - {key} @ S)"
            lines += [f"S <- S + {f'{rate} * ' if rate else ''}{key} * {change}"]
        elif self.delta == "removal":
            lines += [f"S <- {decayed} + b * (a @ S) + {key} * v"]
        else:
            lines += [f"S <- {decayed} + {key} * v"]
        if self.is_normalized:
            lines += ["z <- z + k", f"output o[V] = ({read}) / (scale * ({query} @ z) + 1e-10)"]
        elif not self.bonus:
            lines += [f"output o[V] = {read}"]
        return f"variant {self.name}(K, V) {{\n  " + "\n  ".join(lines) + "\n}\n"


def _name(declaration: str) -> str:
    return declaration.partition("[")[0]


class _Made:
    """Operators as attributes, which PyTorch's compiler looks up when it comes to them."""


_known: dict[Equation, Op] = {}


def operator(equation: Equation) -> Op:
    if torch.compiler.is_compiling():
        return getattr(_Made, _make(*equation))
    found = _known.get(equation)
    if found is None:
        found = _known.setdefault(equation, getattr(_Made, _make(*equation)))
    return found


@torch.compiler.assume_constant_result
def _make(*fields: Any) -> str:
    """The name of the attribute of the equation of these fields."""
    name = f"{fields}"
    if not hasattr(_Made, name):
        equation = Equation(*fields)
        made = operator_of(compile_spec(equation.text(), file=f"lathe.compat {equation.name}"))
        setattr(_Made, name, made)
    return name
