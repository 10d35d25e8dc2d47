"""lathe.compat.mamba against a loop over tokens in float64."""

import unittest

from torch.nn.functional import silu, softplus
from torch_support import Case, torch

import lathe
from lathe.compat.mamba import mamba_chunk_scan_combined as scan

BATCH, TOKENS, HEADS, GROUPS, WIDTH, STATE = 2, 13, 4, 2, 6, 8


def draw(**others):
    random = torch.Generator().manual_seed(5)

    def normal(*shape):
        return torch.randn(*shape, generator=random)

    x = {
        "x": normal(BATCH, TOKENS, HEADS, WIDTH),
        "dt": normal(BATCH, TOKENS, HEADS),
        "A": -normal(HEADS).exp(),
        "B": normal(BATCH, TOKENS, GROUPS, STATE),
        "C": normal(BATCH, TOKENS, GROUPS, STATE),
    }
    shapes = {
        "D": (HEADS,),
        "wide D": (HEADS, WIDTH),
        "z": (BATCH, TOKENS, HEADS, WIDTH),
        "dt_bias": (HEADS,),
        "initial_states": (BATCH, HEADS, WIDTH, STATE),
    }
    made = {name: normal(*shape) for name, shape in shapes.items()}
    return x, {**made, **others}


def expected(x, dt, A, B, C, D=None, z=None, dt_bias=None, initial_states=None, seq_idx=None,
             dt_softplus=False, dt_limit=(0, float("inf"))):  # fmt: skip
    dt = dt if dt_bias is None else dt + dt_bias
    dt = (
        (softplus(dt) if dt_softplus else dt).clamp(*dt_limit) if dt_limit[0] or dt_softplus else dt
    )
    B, C = (each.repeat_interleave(HEADS // GROUPS, 2) for each in (B, C))
    S = x.new_zeros(BATCH, HEADS, WIDTH, STATE) if initial_states is None else initial_states
    outputs = []
    for t in range(x.shape[1]):
        if seq_idx is not None and t:
            S = S * (seq_idx[:, t] == seq_idx[:, t - 1])[:, None, None, None]
        S = S * (dt[:, t] * A).exp()[..., None, None]
        S = S + (dt[:, t, :, None] * x[:, t])[..., None] * B[:, t, :, None]
        outputs.append((S * C[:, t, :, None]).sum(-1))
    y = torch.stack(outputs, 1)
    if D is not None:
        y = y + (D if D.dim() == 2 else D[:, None]) * x
    return (y if z is None else y * silu(z)), S


class Scans(Case):
    def check(self, names, **options):
        given, made = draw()
        given |= {name.removeprefix("wide "): made[name] for name in names}
        given = {n: x.requires_grad_() for n, x in given.items()}
        exact = {n: x.detach().double().requires_grad_() for n, x in given.items()}
        y, last = scan(**given, chunk_size=64, return_final_states=True, **options)
        ideal, after = expected(**exact, **options)
        self.assert_close(y.detach(), ideal.detach(), 1e-5)
        self.assert_close(last.detach(), after.detach(), 1e-5)
        self.assertTrue(last.is_contiguous())
        (y.square().sum() + last.sum()).backward()
        (ideal.square().sum() + after.sum()).backward()
        for name, x in given.items():
            self.assert_close(x.grad, exact[name].grad, 2e-5, f"gradient of {name}")

    def test_alone(self):
        self.check((), dt_softplus=True)

    def test_with_all_that_there_is(self):
        self.check(("D", "z", "dt_bias", "initial_states"), dt_softplus=True)

    def test_skips_of_every_channel(self):
        self.check(("wide D", "dt_bias"), dt_softplus=True)

    def test_limits_of_steps(self):
        self.check(("dt_bias", "D"), dt_softplus=True, dt_limit=(0.3, 0.9))

    def test_sequences_by_index(self):
        index = torch.zeros(BATCH, TOKENS, dtype=torch.int32)
        index[0, 5:] = 1
        index[1, 3:] = 4
        index[1, 10:] = 2
        self.check(("D", "dt_bias"), dt_softplus=True, seq_idx=index)

    def test_what_comes_back(self):
        given, _ = draw()
        y = scan(**given, chunk_size=64)
        self.assertEqual((y.shape, y.dtype), (given["x"].shape, torch.float32))
        halves = {n: x if n == "A" else x.bfloat16() for n, x in given.items()}
        self.assertEqual(scan(**halves, chunk_size=64).dtype, torch.bfloat16)

    def test_packed_states(self):
        given, _ = draw()
        packed = {n: x if n == "A" else x[:1] for n, x in given.items()}
        starts = torch.tensor([0, 5, 13], dtype=torch.int32)
        index = (torch.arange(13) >= 5)[None].int()
        y, last, states = scan(
            **packed, chunk_size=64, dt_softplus=True, seq_idx=index, cu_seqlens=starts,
            return_final_states=True, return_varlen_states=True,
        )  # fmt: skip
        self.assertTrue(torch.equal(last[0], states[1]))
        other, _ = scan(
            **packed, chunk_size=64, dt_softplus=True, seq_idx=index, return_final_states=True
        )
        self.assert_close(y, other, 1e-5)
        first = {n: x if n == "A" else x[:, :5] for n, x in packed.items()}
        _, one = scan(**first, chunk_size=64, dt_softplus=True, return_final_states=True)
        self.assert_close(states[0], one[0], 1e-5)

    def test_compiled(self):
        given, made = draw()

        def step(x):
            return scan(**x, D=made["D"], chunk_size=64, dt_softplus=True)

        compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
        self.assertTrue(torch.equal(compiled(given), step(given)))

    def test_errors(self):
        given, made = draw()
        self.assert_refused(
            lathe.ArgumentError,
            "mamba_chunk_scan_combined: cu_seqlens is None and the batch is 2; with "
            "return_varlen_states there must be cu_seqlens and a batch of 1",
            lambda: scan(**given, chunk_size=64, return_varlen_states=True),
        )
        self.assert_refused(
            lathe.ArgumentError,
            "mamba_chunk_scan_combined: seq_idx has the shape [2]; it must be [2, 13]: [batch, "
            "tokens]",
            lambda: scan(**given, chunk_size=64, seq_idx=torch.zeros(2)),
        )
        one = {n: x if n == "A" else x[:1] for n, x in given.items()}
        self.assert_refused(
            lathe.UnsupportedError,
            "mamba_chunk_scan_combined: initial_states was given; with return_varlen_states it "
            "must be None",
            lambda: scan(
                **one, chunk_size=64, initial_states=made["initial_states"],
                cu_seqlens=torch.tensor([0, 13]), return_varlen_states=True,
            ),  # fmt: skip
        )


if __name__ == "__main__":
    unittest.main()
