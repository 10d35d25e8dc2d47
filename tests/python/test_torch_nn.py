"""lathe.torch.nn: layers in training, in generation, and on padded and packed sequences."""

import inspect
import unittest

from torch_support import Case, torch

import lathe
from lathe.torch import nn

SIZE = 32
LAYERS = {
    "MultiScaleRetention": {"num_heads": 2, "use_short_conv": True},
    "GatedLinearAttention": {"num_heads": 2, "num_kv_heads": 1, "feature_map": "relu"},
    "Mamba2": {"head_dim": 16, "state_size": 8, "n_groups": 2},
    "GatedDeltaNet": {"head_dim": 8, "num_heads": 2, "num_v_heads": 4, "allow_neg_eigval": True},
    "KimiDeltaAttention": {"head_dim": 8, "num_heads": 2, "conv_bias": True},
}
OTHERS = {
    "MultiScaleRetention": {"num_heads": 2, "gate_fn": "sigmoid"},
    "GatedLinearAttention": {"num_heads": 2, "use_output_gate": False, "clamp_min": -0.045},
    "Mamba2": {"head_dim": 16, "state_size": 8, "rmsnorm": False, "D_has_hdim": True},
    "GatedDeltaNet": {"head_dim": 8, "num_heads": 2, "use_short_conv": False, "use_gate": False},
    "KimiDeltaAttention": {
        "head_dim": 8,
        "num_heads": 2,
        "safe_gate": True,
        "lower_bound": -5.0,
        "num_v_heads": 4,
    },
}


def layer_of(name, options):
    torch.manual_seed(1)
    return getattr(nn, name)(hidden_size=SIZE, layer_idx=0, **options)


class Layers(Case):
    def check(self, name, options):
        layer = layer_of(name, options)
        x = torch.randn(2, 13, SIZE)
        self.train_a_step(layer, x)
        with torch.no_grad():
            whole, none, cache = layer(x)
            self.assertEqual((whole.shape, none, cache), (x.shape, None, None))
            self.generate(layer, x, whole)
            self.pad(layer, x)
            self.pack(layer, x, whole)

    def train_a_step(self, layer, x):
        """Every weight gets a gradient, and a few steps bring the loss down."""
        target = torch.randn_like(x)
        optimizer = torch.optim.Adam(layer.parameters(), 1e-2)
        losses = []
        for _ in range(5):
            loss = (layer(x)[0] - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        self.assertLess(losses[-1], losses[0])
        for name, weight in layer.named_parameters():
            self.assertTrue(weight.grad is not None and weight.grad.isfinite().all(), name)
            self.assertTrue(weight.grad.any(), name)

    def generate(self, layer, x, whole):
        """A few tokens, then one by one, with what is kept between them."""
        o, _, cache = layer(x[:, :6], use_cache=True)
        outputs = [o]
        for t in range(6, 13):
            o, _, same = layer(x[:, t : t + 1], past_key_values=cache, use_cache=True)
            self.assertIs(same, cache)
            outputs.append(o)
        self.assertEqual(cache.get_seq_length(0), 13)
        self.assert_close(torch.cat(outputs, 1), whole, 1e-4)

    def pad(self, layer, x):
        """Padding on either side changes nothing, in a call and in those after it."""
        for places in (range(5, 13), range(0, 8)):
            mask = torch.ones(2, 13, dtype=torch.long)
            mask[0] = 0
            mask[0, list(places)] = 1
            ends = places[-1] == 12
            alone, _, own = layer(x[:1, list(places)], use_cache=True)
            o, _, cache = layer(x, attention_mask=mask, use_cache=True)
            self.assert_close(o[0, list(places)], alone[0], 1e-4)
            self.assertFalse(o[0][mask[0] == 0].any())
            if ends:
                longer = torch.cat([mask, torch.ones(2, 1, dtype=torch.long)], 1)
                next_, _, _ = layer(x[:, :1], attention_mask=longer, past_key_values=cache)
                other, _, _ = layer(x[:1, :1], past_key_values=own)
                self.assert_close(next_[0], other[0], 1e-4)

    def pack(self, layer, x, whole):
        """Sequences in one row, with what came before each."""
        row = torch.cat([x[0, :6], x[1, :9]])[None]
        starts = torch.tensor([0, 6, 15], dtype=torch.int32)
        o, _, cache = layer(row, cu_seqlens=starts, use_cache=True)
        self.assert_close(o[0, :6], whole[0, :6], 1e-4)
        self.assert_close(o[0, 6:], whole[1, :9], 1e-4)
        row = torch.cat([x[0, 6:8], x[1, 9:13]])[None]
        if isinstance(layer, nn.MultiScaleRetention):
            return  # One count of tokens serves a whole row.
        starts = torch.tensor([0, 2, 6], dtype=torch.int32)
        o, _, _ = layer(row, cu_seqlens=starts, past_key_values=cache)
        self.assert_close(o[0, :2], whole[0, 6:8], 1e-4)
        self.assert_close(o[0, 2:], whole[1, 9:], 1e-4)


for each in LAYERS:
    setattr(Layers, f"test_{each}", lambda self, n=each: self.check(n, LAYERS[n]))
    setattr(Layers, f"test_{each}_otherwise", lambda self, n=each: self.check(n, OTHERS[n]))


class Numbers(Case):
    """Against the layer's formula with the operators of PyTorch."""

    def test_gated_linear_attention(self):
        layer = layer_of("GatedLinearAttention", {"num_heads": 2})
        x = torch.randn(2, 9, SIZE)
        found = layer(x)[0].detach()
        layer, x = layer.double(), x.double()
        q, k, v = (
            each(x).unflatten(-1, (2, -1)) for each in (layer.q_proj, layer.k_proj, layer.v_proj)
        )
        g = torch.nn.functional.logsigmoid(layer.gk_proj(x)).unflatten(-1, (2, -1)) / 16
        decay = g.cumsum(1)
        decays = (decay[:, :, None] - decay[:, None]).exp()
        weights = torch.einsum("bihk,bjhk,bijhk->bhij", q, k, decays)
        o = torch.einsum("bhij,bjhv->bihv", weights.tril(), v) * 8**-0.5
        o = o * torch.rsqrt(o.square().mean(-1, keepdim=True) + 1e-5)
        gate = layer.g_proj(x).unflatten(-1, (2, -1))
        expected = layer.o_proj((o * torch.nn.functional.silu(gate)).flatten(2))
        self.assert_close(found, expected.detach(), 1e-5)

    def test_convolution(self):
        conv = nn.ShortConvolution(6, 4, bias=True)
        x = torch.randn(2, 9, 6)
        y, last = conv(x)
        plain = torch.nn.functional.conv1d(
            torch.nn.functional.pad(x.mT, (3, 0)), conv.weight, conv.bias, groups=6
        )
        self.assert_close(y.detach(), torch.nn.functional.silu(plain.mT).detach(), 1e-6)
        self.assertTrue(torch.equal(last, x[:, -4:].mT))

    def test_positions(self):
        """Scores of rotary queries and keys follow from the distance of their tokens."""
        from lathe.torch.nn._parts import rotary

        q, k = torch.randn(2, 1, 1, 1, 8).unbind(0)
        scores = [
            (rotary(q, torch.tensor([[at + 3]])) * rotary(k, torch.tensor([[at]]))).sum()
            for at in (0, 5, 100)
        ]
        for score in scores[1:]:
            self.assertAlmostEqual(score.item(), scores[0].item(), 4)


class Modules(Case):
    def test_weights_have_the_names_of_checkpoints(self):
        names = {
            "GatedDeltaNet": (
                "A_log dt_bias q_proj.weight k_proj.weight v_proj.weight a_proj.weight "
                "b_proj.weight q_conv1d.weight k_conv1d.weight v_conv1d.weight g_proj.weight "
                "o_norm.weight o_proj.weight"
            ),
            "GatedLinearAttention": (
                "q_proj.weight k_proj.weight v_proj.weight g_proj.weight gk_proj.0.weight "
                "gk_proj.1.weight gk_proj.1.bias g_norm_swish_gate.weight o_proj.weight"
            ),
            "Mamba2": (
                "dt_bias A_log D conv1d.weight conv1d.bias in_proj.weight norm.weight "
                "out_proj.weight"
            ),
        }
        for name, expected in names.items():
            found = set(layer_of(name, LAYERS[name]).state_dict())
            self.assertEqual(found, set(expected.split()), name)
        gated = layer_of("GatedDeltaNet", LAYERS["GatedDeltaNet"])
        self.assertEqual(gated.q_conv1d.weight.shape, (16, 1, 4))

    def test_compiled(self):
        for name in ("GatedDeltaNet", "Mamba2"):
            layer = layer_of(name, LAYERS[name])
            x = torch.randn(2, 9, SIZE)
            compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
            self.assert_close(compiled(x)[0].detach(), layer(x)[0].detach(), 1e-6)

    def test_autocast(self):
        for name, options in LAYERS.items():
            layer = layer_of(name, options)
            x = torch.randn(2, 9, SIZE)
            with torch.autocast("cpu", torch.bfloat16):
                o = layer(x)[0]
            self.assertEqual(o.dtype, torch.bfloat16)
            self.assert_close(o.detach().float(), layer(x)[0].detach(), 5e-2, name)

    def test_arguments_are_documented(self):
        for name in LAYERS:
            parameters = inspect.signature(getattr(nn, name)).parameters
            self.assertTrue({"hidden_size", "layer_idx"} <= set(parameters), name)


class Errors(Case):
    def test_of_layers(self):
        refused = self.assert_refused
        error = lathe.ArgumentError
        refused(
            error,
            "GatedDeltaNet: mode is 'fast'; it must be one of 'chunk', 'fused_recurrent'",
            lambda: nn.GatedDeltaNet(mode="fast"),
        )
        refused(
            error,
            "expand_k * hidden_size is 30.0; it must be an integer that 4 heads divide",
            lambda: nn.MultiScaleRetention(hidden_size=30, num_heads=4),
        )
        refused(
            error,
            "Mamba2: num_heads is 3; it must be expand * hidden_size / head_dim, 4",
            lambda: nn.Mamba2(num_heads=3, head_dim=16, hidden_size=32),
        )
        refused(
            error,
            "Mamba2: n_groups is 3; it must divide the heads, 4",
            lambda: nn.Mamba2(n_groups=3, head_dim=16, hidden_size=32),
        )
        refused(
            error,
            "GatedLinearAttention: num_kv_heads is 3; it must divide num_heads, 4",
            lambda: nn.GatedLinearAttention(num_kv_heads=3),
        )
        refused(
            error,
            "KimiDeltaAttention: num_v_heads is 3; num_heads, 2, must divide it",
            lambda: nn.KimiDeltaAttention(num_heads=2, num_v_heads=3),
        )

    def test_of_calls(self):
        layer = nn.GatedLinearAttention(hidden_size=SIZE, num_heads=2)
        x = torch.randn(2, 5, SIZE)
        refused, error = self.assert_refused, lathe.ArgumentError
        refused(
            error,
            "output_attentions is True; there are none, so that it must be False",
            lambda: layer(x, output_attentions=True),
        )
        refused(
            error,
            "GatedLinearAttention: layer_idx is None; with a cache it must be the number of the "
            "layer",
            lambda: layer(x, use_cache=True),
        )
        refused(
            error,
            "both attention_mask and cu_seqlens were given; give one of them",
            lambda: layer(x[:1], torch.ones(1, 5), cu_seqlens=torch.tensor([0, 5])),
        )
        refused(
            error,
            "attention_mask has the shape [2, 4]; it must be [2, at least 5], of ones, and zeros "
            "for what pads a row",
            lambda: layer(x, torch.ones(2, 4)),
        )


if __name__ == "__main__":
    unittest.main()
