"""The delta rules among the operators of flash-linear-attention; lathe.compat.fla names them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..errors import ArgumentError
from ._call import Call, extra, is_v_first, rates, run
from ._equation import Equation

Given = Tensor | None
#: The log-decay that use_gate_in_kernel makes of g, and that with a bound.
_GATE = "-exp(A_log) * softplus({raw})"
_BOUNDED_GATE = "lower_bound * sigmoid({raw})"


def chunk_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """S <- S + beta k (v - k @ S), with beta ``[B, T, H]``; float32 as well."""
    extra("chunk_delta_rule", kwargs)
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _delta_rule(q, k, v, beta, use_qk_l2norm_in_kernel, call)


def fused_recurrent_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Given = None,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Given = None,
) -> tuple[Tensor, Given]:
    """As chunk_delta_rule; beta may be ``[B, T, H, V]``, and is 1 if it is None."""
    call = Call(scale, initial_state, output_final_state, cu_seqlens)
    return _delta_rule(q, k, v, beta, use_qk_l2norm_in_kernel, call)


def _delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Given, is_normed: bool, call: Call
) -> tuple[Tensor, Given]:
    rate, _ = rates("delta_rule", False, False, beta)
    equation = Equation("delta_rule", is_normed=is_normed, delta="delta", rate=rate)
    return run(equation, {"q": q, "k": k, "v": v, "beta": beta}, call)


def chunk_gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
    chunk_indices: Given = None,
    cp_context: Any = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """S <- exp(g) S, then S <- S + beta k (v - k @ S), with g and beta ``[B, T, HV]``. With
    ``use_gate_in_kernel`` the log-decay is -exp(A_log) softplus(g + dt_bias), these two ``[HV]``.
    """
    function = "chunk_gated_delta_rule"
    v_first = is_v_first(state_v_first, kwargs)
    gated = _in_kernel(kwargs)
    extra(function, kwargs | {"cp_context": cp_context}, _GATED)
    rate = rates(function, use_beta_sigmoid_in_kernel, allow_neg_eigval, beta)
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    tensors = {"q": q, "k": k, "v": v, "g": g, "beta": beta}
    equation = Equation(
        "gated_delta_rule",
        is_normed=use_qk_l2norm_in_kernel,
        delta="delta",
        rate=rate[0],
        rate_expression=rate[1],
    )
    return _gated(function, equation, tensors, {"g": g}, gated, call)


def fused_recurrent_gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Given = None,
    gk: Given = None,
    gv: Given = None,
    beta: Given = None,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_gate_in_kernel: bool = False,
    A_log: Given = None,
    dt_bias: Given = None,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """As chunk_gated_delta_rule; the state also decays by gk ``[B, T, HV, K]`` and gv ``[B, T, HV,
    V]``, and beta may be ``[B, T, HV, V]``."""
    function = "fused_recurrent_gated_delta_rule"
    v_first = is_v_first(state_v_first, kwargs)
    extra(function, kwargs)
    rate = rates(function, use_beta_sigmoid_in_kernel, allow_neg_eigval, beta)
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    tensors = {"q": q, "k": k, "v": v, "g": g, "gk": gk, "gv": gv, "beta": beta}
    equation = Equation(
        "gated_delta_rule",
        is_normed=use_qk_l2norm_in_kernel,
        delta="delta",
        rate=rate[0],
        rate_expression=rate[1],
    )
    gated = (A_log, dt_bias) if use_gate_in_kernel else None
    return _gated(function, equation, tensors, {"g": g, "gk[K]": gk, "gv[V]": gv}, gated, call)


def chunk_kda(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_gate_in_kernel: bool = False,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    safe_gate: bool = False,
    lower_bound: float | None = None,
    disable_recompute: bool = False,
    return_intermediate_states: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    cu_seqlens_cpu: Given = None,
    cp_context: Any = None,
    use_graph: bool = False,
    max_num_seqs: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """As chunk_gated_delta_rule with g ``[B, T, HV, K]``. With ``use_gate_in_kernel`` the
    log-decay is -exp(A_log) softplus(g + dt_bias), or lower_bound sigmoid(exp(A_log) (g +
    dt_bias)) with a `lower_bound`; A_log is ``[HV]``, dt_bias ``[HV K]``."""
    function = "chunk_kda"
    v_first = is_v_first(state_v_first, kwargs)
    gated = _in_kernel(kwargs | {"use_gate_in_kernel": use_gate_in_kernel})
    absent = {
        "cp_context": cp_context,
        "return_intermediate_states": return_intermediate_states,
        "max_num_seqs": max_num_seqs,
    }
    extra(function, kwargs | absent, _GATED[1:])
    if safe_gate and use_gate_in_kernel and not (lower_bound and -5 <= lower_bound < 0):
        raise ArgumentError(
            f"{function}: lower_bound is {lower_bound}; with safe_gate and use_gate_in_kernel it "
            "must be at least -5 and below 0"
        )
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    rate = rates(function, use_beta_sigmoid_in_kernel, allow_neg_eigval, beta)
    return _kda(function, q, k, v, g, beta, use_qk_l2norm_in_kernel, rate, gated, lower_bound, call)


def fused_recurrent_kda(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    A_log: Given = None,
    dt_bias: Given = None,
    scale: float | None = None,
    initial_state: Given = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_gate_in_kernel: bool = False,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    lower_bound: float | None = None,
    state_v_first: bool = False,
    cu_seqlens: Given = None,
    **kwargs: Any,
) -> tuple[Tensor, Given]:
    """As chunk_kda."""
    function = "fused_recurrent_kda"
    v_first = is_v_first(state_v_first, kwargs)
    extra(function, kwargs)
    gated = (A_log, dt_bias) if use_gate_in_kernel else None
    call = Call(scale, initial_state, output_final_state, cu_seqlens, v_first)
    rate = rates(function, use_beta_sigmoid_in_kernel, allow_neg_eigval, beta)
    return _kda(function, q, k, v, g, beta, use_qk_l2norm_in_kernel, rate, gated, lower_bound, call)


def _kda(
    function: str,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    is_normed: bool,
    rate: tuple[str, str],
    gated: tuple[Given, Given] | None,
    lower_bound: float | None,
    call: Call,
) -> tuple[Tensor, Given]:
    if gated and gated[1] is not None:
        gated = (gated[0], gated[1].reshape(g.shape[-2:]))
    equation = Equation(
        "kda", is_normed=is_normed, delta="delta", rate=rate[0], rate_expression=rate[1]
    )
    tensors = {"q": q, "k": k, "v": v, "g": g, "beta": beta}
    return _gated(function, equation, tensors, {"g[K]": g}, gated, call, lower_bound)


_GATED = ("use_gate_in_kernel", "A_log", "dt_bias")


def _in_kernel(given: dict[str, Any]) -> tuple[Given, Given] | None:
    """A_log and dt_bias, where the gate is made in the kernel."""
    is_made = given.get("use_gate_in_kernel", False)
    return (given.get("A_log"), given.get("dt_bias")) if is_made else None


def _gated(
    function: str,
    equation: Equation,
    tensors: dict[str, Given],
    decays: dict[str, Given],
    gated: tuple[Given, Given] | None,
    call: Call,
    lower_bound: float | None = None,
) -> tuple[Tensor, Given]:
    """Runs with the log-decays of `decays`, by their declarations; with `gated` the first of them
    is made of its tensor, A_log and dt_bias."""
    given = tuple(name for name, value in decays.items() if value is not None)
    if gated is None:
        return run(equation._replace(decays=given), tensors, call)
    first = next(iter(decays))
    if first not in given:
        raise ArgumentError(
            f"{function}: g is None; with use_gate_in_kernel it must be what the gate is made of"
        )
    A_log, dt_bias = gated
    if A_log is None and lower_bound is None:
        raise ArgumentError(
            f"{function}: A_log is None; with use_gate_in_kernel and no lower_bound it must be a "
            "torch.Tensor [HV]"
        )
    raw = "g" if dt_bias is None else "g + dt_bias"
    if lower_bound is not None and A_log is not None:
        raw = f"exp(A_log) * ({raw})"
    expression = (_GATE if lower_bound is None else _BOUNDED_GATE).format(raw=raw)
    bias = f"dt_bias{first[1:]}"
    equation = equation._replace(
        decays=given[1:],
        gate=first,
        gate_expression=expression,
        gate_params=(
            *(["A_log"] if A_log is not None else []),
            *([bias] if dt_bias is not None else []),
        ),
        gate_constants=() if lower_bound is None else ("lower_bound = -5",),
    )
    heads = {"A_log": None if A_log is None else A_log.reshape(-1), "dt_bias": dt_bias}
    bound = {} if lower_bound is None else {"lower_bound": lower_bound}
    return run(equation, tensors | heads, call, **bound)
