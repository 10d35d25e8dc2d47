"""The cases by which flash-linear-attention tests its operators (tests/ops of version 0.5), as a
table: shapes, gates, options, packed sequences, dtypes and the error that each result may have."""

from typing import NamedTuple

import torch
from torch.nn.functional import logsigmoid, normalize

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16


class Case(NamedTuple):
    function: str
    batch: int
    tokens: int
    heads: int
    value_heads: int
    dim: int
    dtype: torch.dtype
    normalizer: float = 1  # of log-decays; 0.01 is very strong
    mask: float = 0  # the part of tokens that do not decay
    options: dict = {}
    params: tuple = ()  # "g_gamma", "A_log", "dt_bias"
    starts: tuple = ()
    limits: dict = {}  # by results; "" for all others
    has_gradients: bool = True

    @property
    def family(self):
        return self.function.removeprefix("fused_recurrent_").removeprefix("chunk_")

    def __str__(self):
        sizes = f"B{self.batch} T{self.tokens} H{self.heads}/{self.value_heads} D{self.dim}"
        parts = [self.function, sizes, str(self.dtype).removeprefix("torch.")]
        parts += [f"{name}={value}" for name, value in self.options.items()]
        parts += [f"gates/{self.normalizer}"] if self.normalizer != 1 else []
        parts += [f"mask {self.mask}"] if self.mask else []
        parts += [*self.params, *([f"starts {list(self.starts)}"] if self.starts else [])]
        return " ".join(parts)

    def small(self):
        """The same on a CPU in a test's time: fewer tokens, heads and channels."""
        shrink = {64: 8, 128: 8, 32: 8, 60: 6, 100: 6, 256: 16, 320: 16, 512: 16}
        starts = tuple(start // 40 + (start % 40 > 0) for start in self.starts)
        tokens = starts[-1] if starts else min(self.tokens, 20 + self.tokens % 7)
        group = self.value_heads // self.heads
        return self._replace(
            batch=min(self.batch, 2),
            tokens=tokens,
            heads=min(2, self.heads),
            value_heads=min(2, self.heads) * group,
            dim=shrink[self.dim],
            starts=starts,
        )


def simple_gla():
    limits = {"": 5e-3}
    for B, T, H, D, scale, normalizer, dtype in (
        (1, 63, 1, 64, 1, 1, F32), (2, 500, 4, 60, 1, 1, F32), (2, 1024, 8, 128, 1, 0.1, F32),
        (2, 1024, 8, 128, 0.1, 1, F32), (2, 1024, 8, 128, 1, 10, F32),
        (4, 2048, 8, 64, 0.1, 1, F32),
        (2, 1024, 8, 128, 1, 0.1, F16), (2, 1024, 8, 128, 1, 10, F16),
    ):  # fmt: skip
        yield Case("fused_recurrent_simple_gla", B, T, H, H, D, dtype, normalizer,
                   options={"scale": scale}, limits=limits)  # fmt: skip
    for H, D, scale, normalizer, starts, dtype in (
        (4, 64, 1, 1, (0, 15), F32), (4, 64, 1, 1, (0, 256, 500, 1000), F32),
        (4, 100, 0.1, 1, (0, 15, 100, 300, 1200, 2000), F32),
        (4, 100, 1, 1, (0, 15, 100, 300, 1200, 2000), F32),
        (4, 100, 1, 10, (0, 15, 100, 300, 1200, 2000), F32),
        (4, 64, 1, 1, (0, 1, 100, 300, 1200, 2048), F16),
        (4, 128, 1, 1, (0, 200, 512, 1200, 2048), F16),
    ):  # fmt: skip
        yield Case("fused_recurrent_simple_gla", 1, starts[-1], H, H, D, dtype, normalizer,
                   options={"scale": scale}, starts=starts, limits=limits)  # fmt: skip
    limits = {"o": 4e-3, "": 5e-3}
    for B, T, H, D, scale, normalizer in (
        (1, 63, 1, 64, 1, 1), (2, 500, 3, 60, 1, 1), (1, 1000, 4, 128, 1, 0.1),
        (2, 1000, 4, 128, 0.1, 1), (3, 1000, 4, 128, 0.1, 10), (4, 2048, 8, 64, 0.1, 1),
    ):  # fmt: skip
        yield Case("chunk_simple_gla", B, T, H, H, D, F16, normalizer, options={"scale": scale},
                   limits=limits)  # fmt: skip
    for chunk in (16, 32, 64):
        yield Case("chunk_simple_gla", 1, 64, 2, 2, 64, F16,
                   options={"scale": 0.1, "chunk_size": chunk}, limits={"": 5e-3})  # fmt: skip
    for H, D, starts in ((4, 64, (0, 15)), (4, 64, (0, 256, 500, 1000)),
                         (4, 100, (0, 15, 100, 300, 1200, 2000))):  # fmt: skip
        yield Case("chunk_simple_gla", 1, starts[-1], H, H, D, F16, starts=starts, limits=limits)
    for function, limit in (("chunk_simple_gla", 5e-3), ("fused_recurrent_simple_gla", 5e-3)):
        for B, T, H, D, dtype in ((2, 256, 4, 64, F32), (2, 1024, 4, 128, F16)):
            yield Case(function, B, T, H, H, D, dtype, options={"state_v_first": True},
                       limits={"": limit})  # fmt: skip
        yield Case(function, 2, 500, 4, 4, 64, F16, params=("g_gamma",), limits={"": limit})


def gla():
    limits = {"": 5e-3}
    for B, T, H, D, normalizer, dtype in (
        (1, 63, 1, 64, 1, F32), (2, 1024, 4, 60, 1, F32), (2, 1024, 8, 128, 0.1, F32),
        (2, 1024, 8, 128, 1, F32), (2, 1024, 8, 128, 10, F32), (4, 2048, 8, 64, 1, F32),
        (2, 1024, 8, 128, 0.1, F16), (2, 1024, 8, 128, 10, F16),
    ):  # fmt: skip
        yield Case("fused_recurrent_gla", B, T, H, H, D, dtype, normalizer, limits=limits)
    for H, D, starts, dtype in (
        (4, 64, (0, 15), F32), (4, 64, (0, 256, 500, 1000), F32),
        (4, 100, (0, 15, 100, 300, 1200, 2000), F32), (4, 64, (0, 1, 100, 300, 1200, 2048), F16),
        (4, 128, (0, 200, 512, 1200, 2048), F16),
    ):  # fmt: skip
        yield Case(
            "fused_recurrent_gla", 1, starts[-1], H, H, D, dtype, starts=starts, limits=limits
        )
    limits = {"o": 4e-3, "": 5e-3}
    for B, T, H, D, normalizer, dtype in (
        (1, 63, 1, 64, 1, F16), (2, 1024, 4, 60, 1, F16), (2, 1024, 8, 128, 0.1, F16),
        (2, 1024, 8, 128, 1, F16), (2, 1024, 8, 128, 10, F16), (4, 2048, 8, 64, 1, F16),
        (1, 128, 4, 256, 1, F16), (1, 64, 2, 320, 1, F16), (1, 128, 4, 512, 1, BF16),
    ):  # fmt: skip
        yield Case("chunk_gla", B, T, H, H, D, dtype, normalizer, limits=limits)
    for H, D, starts in ((4, 64, (0, 15)), (4, 64, (0, 0, 16)), (4, 64, (0, 256, 500, 1000)),
                         (4, 100, (0, 15, 100, 300, 1200, 2000))):  # fmt: skip
        yield Case("chunk_gla", 1, starts[-1], H, H, D, F16, starts=starts, limits=limits)
    for function in ("chunk_gla", "fused_recurrent_gla"):
        for B, T, H, D, dtype in ((2, 256, 4, 64, F32), (2, 1024, 4, 128, F16)):
            yield Case(function, B, T, H, H, D, dtype, options={"state_v_first": True},
                       limits={"": 5e-3})  # fmt: skip


def gated_delta_rule():
    function, limits = "fused_recurrent_gated_delta_rule", {"": 2e-3}
    fast = {"limits": limits, "has_gradients": False}
    for B, T, H, HV, D, scale, normalizer, dtype in (
        (1, 63, 1, 1, 64, 1, 1, F32), (2, 500, 4, 4, 60, 1, 1, F32),
        (2, 1000, 2, 8, 128, 1, 0.1, F32),
        (3, 1024, 2, 2, 128, 0.1, 1, F32), (4, 1024, 3, 3, 128, 1, 10, F32),
        (4, 2048, 4, 4, 64, 0.1, 1, F32), (2, 1024, 4, 4, 128, 1, 0.1, F16),
        (2, 1024, 4, 8, 128, 1, 10, F16),
    ):  # fmt: skip
        yield Case(function, B, T, H, HV, D, dtype, normalizer, options={"scale": scale}, **fast)
    for B, T, H, HV, D, scale, bias, dtype in (
        (1, 64, 1, 1, 64, 1, False, F32), (2, 256, 2, 2, 64, 1, True, F32),
        (2, 512, 2, 4, 64, 0.1, True, F16), (3, 1000, 2, 8, 128, 1, False, F16),
        (4, 1024, 4, 4, 128, 0.1, True, F16),
    ):  # fmt: skip
        yield Case(function, B, T, H, HV, D, dtype, options={"scale": scale, **GATE},
                   params=heads(bias), **fast)  # fmt: skip
    fast = {"limits": {"": 5e-3}, "has_gradients": False}
    for B, T, H, HV, D, scale, negative, dtype in (
        (1, 64, 1, 1, 64, 1, False, F32), (2, 512, 2, 4, 64, 0.1, True, F16),
        (3, 1000, 2, 8, 128, 1, True, F16), (4, 1024, 4, 4, 128, 0.1, False, F16),
    ):  # fmt: skip
        yield Case(function, B, T, H, HV, D, dtype, options={"scale": scale, **sigmoid(negative)},
                   **fast)  # fmt: skip
    function = "chunk_gated_delta_rule"
    limits = {
        "o": 5e-3,
        "ht": 5e-3,
        "beta": 2e-2,
        "g": 2e-2,
        "A_log": 2e-2,
        "dt_bias": 2e-2,
        "": 8e-3,
    }
    for B, T, H, HV, D, scale, normalizer, mask, normed in (
        (4, 1024, 4, 4, 128, 0.1, 1, 1.0, False), (2, 75, 4, 4, 64, 1, 0.01, 0, False),
        (2, 500, 3, 3, 60, 1, 1, 0, False), (2, 1000, 3, 3, 64, 0.1, 1, 0.5, False),
        (3, 1024, 4, 4, 100, 1, 0.1, 0, False), (4, 1024, 4, 4, 128, 0.1, 1, 0, True),
        (2, 1500, 4, 4, 128, 0.1, 10, 0, False), (4, 2048, 8, 8, 64, 0.1, 1, 0, False),
        (2, 256, 2, 4, 64, 1, 1, 0, False), (2, 512, 2, 8, 64, 1, 0.1, 0, True),
        (2, 1024, 4, 8, 128, 0.1, 1, 0, False),
    ):  # fmt: skip
        options = {"scale": scale, "use_qk_l2norm_in_kernel": normed}
        yield Case(function, B, T, H, HV, D, F16, normalizer, mask, options, limits=limits)
    for B, T, H, HV, D, scale, normed, negative in (
        (2, 500, 4, 4, 64, 1, False, False), (3, 1024, 4, 4, 128, 0.1, True, True),
        (2, 1024, 4, 8, 128, 0.1, False, True), (4, 2048, 8, 8, 64, 0.1, True, False),
    ):  # fmt: skip
        options = {"scale": scale, "use_qk_l2norm_in_kernel": normed, **sigmoid(negative)}
        yield Case(function, B, T, H, HV, D, F16, options=options, limits=limits)
    for B, T, H, HV, D, scale, bias, normed in (
        (2, 75, 4, 4, 64, 1, True, True), (2, 500, 3, 3, 60, 1, False, False),
        (2, 1000, 3, 3, 64, 0.1, True, False), (3, 1024, 4, 4, 100, 1, True, True),
        (4, 1024, 4, 4, 128, 0.1, False, True), (4, 2048, 8, 8, 64, 0.1, True, False),
        (2, 256, 2, 4, 64, 1, True, False), (2, 512, 1, 4, 64, 0.1, False, False),
        (2, 512, 2, 8, 64, 1, True, False), (2, 1024, 4, 8, 128, 0.1, True, False),
    ):  # fmt: skip
        options = {"scale": scale, "use_qk_l2norm_in_kernel": normed, **GATE}
        yield Case(
            function, B, T, H, HV, D, F16, options=options, params=heads(bias), limits=limits
        )
    for H, HV, D, mask, starts in (
        (4, 4, 60, 0, (0, 15)), (4, 4, 64, 0, (0, 256, 500, 1000)),
        (4, 4, 64, 0.5, (0, 256, 500, 1000)),
        (4, 4, 100, 0, (0, 15, 100, 300, 1200, 2000)), (2, 4, 64, 0, (0, 256, 500, 1000)),
        (2, 8, 64, 0, (0, 256, 500, 1000)),
    ):  # fmt: skip
        yield Case(function, 1, starts[-1], H, HV, D, F16, mask=mask, starts=starts, limits=limits)
    for D, bias, starts in ((60, True, (0, 15)), (64, False, (0, 256, 500, 1000)),
                            (100, True, (0, 15, 100, 300, 1200, 2000))):  # fmt: skip
        yield Case(function, 1, starts[-1], 4, 4, D, F16, options=GATE, params=heads(bias),
                   starts=starts, limits=limits)  # fmt: skip
    yield Case(function, 2, 500, 3, 3, 60, F16, options={"state_v_first": True}, limits=limits)


GATE = {"use_gate_in_kernel": True}


def heads(has_bias):
    return ("A_log", "dt_bias") if has_bias else ("A_log",)


def sigmoid(is_negative):
    return {"use_beta_sigmoid_in_kernel": True, "allow_neg_eigval": is_negative}


def kda():
    function = "fused_recurrent_kda"
    fast = {"limits": {"": 5e-3}, "has_gradients": False}
    for B, T, H, HV, D, scale, normed in (
        (1, 64, 1, 1, 64, 1, False), (2, 512, 3, 3, 60, 1, False), (3, 1000, 4, 4, 100, 0.1, True),
        (4, 1024, 4, 4, 128, 0.1, False), (2, 512, 2, 4, 60, 1, False),
        (2, 1024, 2, 8, 128, 0.1, True),
    ):  # fmt: skip
        options = {"scale": scale, "use_qk_l2norm_in_kernel": normed}
        yield Case(function, B, T, H, HV, D, F32, options=options, **fast)
    for B, T, H, D, negative in (
        (2, 256, 4, 64, False),
        (2, 256, 4, 64, True),
        (1, 512, 3, 60, True),
    ):
        yield Case(function, B, T, H, H, D, F32, options=sigmoid(negative), **fast)
    for B, T, H, HV, D, scale, has_A, bias, safe, dtype in (
        (1, 64, 1, 1, 64, 1, True, False, False, F32),
        (2, 256, 2, 2, 64, 1, True, True, False, F32),
        (2, 512, 2, 4, 64, 0.1, True, True, True, F16),
        (3, 1000, 2, 8, 128, 1, True, False, False, F16),
        (4, 1024, 4, 4, 128, 0.1, True, True, True, F16),
        (1, 64, 1, 1, 64, 1, False, False, True, F32),
        (2, 256, 2, 4, 64, 1, False, True, True, F32),
    ):  # fmt: skip
        options = {"scale": scale, **GATE} | ({"lower_bound": -5.0} if safe else {})
        params = tuple(name for name, has in (("A_log", has_A), ("dt_bias", bias)) if has)
        yield Case(function, B, T, H, HV, D, dtype, options=options, params=params, **fast)
    function = "chunk_kda"
    limits = {"o": 5e-3, "ht": 5e-3, "g": 2e-2, "beta": 2e-2, "A_log": 2e-2, "": 8e-3}
    for B, T, H, HV, D, scale, normalizer, mask, normed, gated, dtype, safe in (
        (1, 63, 1, 1, 64, 1, 1, 0, False, False, F16, True),
        (2, 500, 3, 3, 60, 1, 1, 0, False, False, F16, True),
        (2, 1000, 3, 3, 64, 0.1, 1, 0.5, False, False, F16, False),
        (3, 1024, 4, 4, 100, 1, 0.1, 0, False, False, F16, False),
        (4, 1024, 4, 4, 128, 0.1, 1, 0, False, False, F16, True),
        (4, 1024, 4, 4, 128, 0.1, 1, 0, True, False, F16, True),
        (2, 1500, 4, 4, 128, 0.1, 10, 0, False, True, F16, False),
        (4, 2048, 8, 8, 64, 0.1, 1, 0, False, True, F16, True),
        (2, 1024, 2, 4, 64, 0.1, 1, 0, False, False, F16, False),
        (2, 1024, 2, 8, 64, 0.1, 1, 0, False, True, F16, False),
        (2, 1024, 4, 8, 128, 0.1, 1, 0, True, True, F16, False),
        (2, 160, 2, 4, 64, 0.1, 1, 0, False, True, F16, True),
        (2, 1024, 2, 4, 64, 0.1, 1, 0, True, True, BF16, True),
    ):  # fmt: skip
        options = {"scale": scale, "use_qk_l2norm_in_kernel": normed, "safe_gate": safe}
        options |= GATE if gated else {}
        options |= {"lower_bound": -5.0} if gated and safe else {}
        yield Case(function, B, T, H, HV, D, dtype, normalizer, mask, options,
                   heads(True) if gated else (), limits=limits)  # fmt: skip
    for D, mask, starts, gated, safe in (
        (60, 0.1, (0, 15), True, False), (64, 0.9, (0, 256, 500, 1000), True, False),
        (128, 0.5, (0, 256, 500, 1000), False, False),
        (100, 0, (0, 15, 100, 300, 1200, 2000), True, False),
        (256, 0, (0, 100, 300, 1200, 3000, 4096), False, True),
        (60, 0.1, (0, 31, 96, 160), True, False),
    ):  # fmt: skip
        options = {"safe_gate": safe} | (GATE if gated else {})
        yield Case(function, 1, starts[-1], 4, 4, D, F16, 1, mask, options,
                   heads(True) if gated else (), starts, limits)  # fmt: skip
    yield Case(function, 2, 96, 2, 2, 64, F16, options=sigmoid(True), limits=limits)
    yield Case(function, 2, 500, 3, 3, 60, F16, options={"state_v_first": True}, limits=limits)


def others():
    """Of operators whose tests there are few: in the style of the others."""
    limits = {"o": 5e-3, "ht": 5e-3, "": 8e-3}
    for function in ("chunk_delta_rule", "fused_recurrent_delta_rule"):
        for B, T, H, D, dtype in (
            (2, 500, 3, 60, F16),
            (2, 1024, 4, 128, BF16),
            (1, 63, 1, 64, F32),
        ):
            wide = {"o": 1e-2, "ht": 1e-2, "": 2e-2} if dtype == BF16 else limits
            yield Case(function, B, T, H, H, D, dtype, options={"use_qk_l2norm_in_kernel": True},
                       limits={**wide, "beta": 2e-2})  # fmt: skip
        yield Case(function, 1, 1000, 4, 4, 64, F16, starts=(0, 256, 500, 1000),
                   limits={**limits, "beta": 2e-2})  # fmt: skip
    for function in (
        "chunk_rwkv6",
        "fused_recurrent_rwkv6",
        "chunk_rwkv7",
        "fused_recurrent_rwkv7",
    ):
        for B, T, H, D, dtype in ((2, 500, 3, 60, F16), (2, 1024, 4, 64, F16), (1, 63, 2, 64, F32)):
            yield Case(function, B, T, H, H, D, dtype, limits=limits)
        yield Case(function, 1, 1000, 4, 4, 64, F16, starts=(0, 256, 500, 1000), limits=limits)


def draw(case, device):
    """Tensors by the names of arguments, and the initial state, as those tests draw them."""
    torch.manual_seed(42)
    B, T, H, HV, D = case.batch, case.tokens, case.heads, case.value_heads, case.dim
    family = case.family
    random = torch.randn if family in ("simple_gla", "rwkv6", "rwkv7") else torch.rand
    query = "r" if family.startswith("rwkv") else "q"
    x = {query: random(B, T, H, D), "k": random(B, T, H, D), "v": random(B, T, HV, D)}
    gate = (B, T, HV) if family in ("simple_gla", "gated_delta_rule") else (B, T, HV, D)
    name = {"rwkv6": "w", "rwkv7": "w"}.get(family, "g")
    name = "gk" if case.function == "fused_recurrent_gla" else name
    if case.options.get("use_gate_in_kernel"):
        x[name] = torch.randn(gate)
    elif family != "delta_rule" and "g_gamma" not in case.params:
        g = logsigmoid(random(gate)) / case.normalizer
        g = g * (torch.rand(gate) > case.mask) if case.mask else g
        g = g.clamp(-5, 0) if case.options.get("safe_gate") else g
        x[name] = -torch.exp(-0.5 - torch.rand(gate)) if family == "rwkv7" else g
    if family == "rwkv7":
        removal = normalize(torch.randn(B, T, H, D), dim=-1)
        x["a"], x["b"] = -removal, removal * torch.rand(B, T, H, D)
        x["k"] = normalize(x["k"], dim=-1)
    if family in ("delta_rule", "gated_delta_rule", "kda"):
        x["beta"] = torch.randn(B, T, HV)
        if not case.options.get("use_beta_sigmoid_in_kernel"):
            x["beta"] = x["beta"].sigmoid()
        if not case.options.get("use_qk_l2norm_in_kernel"):
            x["k"] = normalize(x["k"], dim=-1)
    x = {name: value.to(case.dtype) for name, value in x.items()}
    x |= {"u": torch.randn(H, D)} if family == "rwkv6" else {}
    made = {"g_gamma": -torch.rand(HV), "A_log": torch.log(1 + 15 * torch.rand(HV)),
            "dt_bias": torch.randn(HV * (D if family == "kda" else 1))}  # fmt: skip
    x |= {name: made[name] for name in case.params}
    state = torch.randn(len(case.starts) - 1 if case.starts else B, HV, D, D)
    return {name: value.to(device) for name, value in x.items()}, state.to(device)


def all_cases():
    for family in (simple_gla, gla, gated_delta_rule, kda, others):
        yield from family()
