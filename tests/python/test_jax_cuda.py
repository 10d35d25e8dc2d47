"""lathe.jax on a GPU, against NumPy's calls on the CPU. Skipped where JAX sees none."""

import os
import sys
import unittest

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from support import Case, np

try:
    import jax
    import jax.numpy as jnp
except ImportError as missing:
    print(f"SKIPPED: jax is missing ({missing})")
    sys.exit(77)
if jax.default_backend() != "gpu":
    print("SKIPPED: there is no GPU that JAX sees")
    sys.exit(77)

from unittest import mock

from test_jax import draw, loss_of, parts

import lathe
import lathe.jax


class Cuda(Case):
    def draw(self, variant, **named):
        with mock.patch("test_jax.SIZES", {"K": 64, "V": 32}):
            return draw(variant, tokens=100, **named)

    def check(self, name, dtype, limit):
        variant, op = lathe.load(name), lathe.jax.op(name)
        tensors, states = self.draw(variant)
        halves = {
            n: jnp.asarray(x, dtype if n in variant.inputs else jnp.float32)
            for n, x in tensors.items()
        }
        given = {n: np.asarray(x.astype(jnp.float32)) for n, x in halves.items()}
        o, last = variant(**given, initial_state=states, output_final_state=True)
        run = jax.jit(lambda x, s: op(**x, initial_state=s, output_final_state=True))
        found, after = run(halves, states)
        self.assertEqual(found.dtype, dtype)
        self.assert_close(found.astype(jnp.float32), o, limit, name)
        last = last if isinstance(last, dict) else {variant.states[0]: last}
        after = after if isinstance(after, dict) else {variant.states[0]: after}
        for state in last:
            self.assert_close(after[state], last[state], limit, state)
        expected = variant.gradient(
            **given,
            initial_state=states,
            d_output=tuple(2 * x for x in parts(o)),
            d_state={n: 2 * x for n, x in last.items()},
        )
        gradients, of_states = jax.jit(jax.grad(loss_of(op), (0, 1)))(halves, states)
        for key, value in {**gradients, **of_states}.items():
            self.assert_close(value.astype(jnp.float32), expected[key], 2 * limit, key)

    def test_results(self):
        for name in ("gla", "mamba2", "gated_delta_net", "linear_attention"):
            with self.subTest(name):
                self.check(name, jnp.bfloat16, 2e-2)
        self.check("gla", jnp.float32, 2e-3)

    def test_batches(self):
        op = lathe.jax.op("mamba2")
        wide, _ = self.draw(op.variant, lead=(3,))
        shared, _ = self.draw(op.variant)
        axes = {n: 0 if n in op.variant.inputs else None for n in wide}
        tensors = {n: wide[n] if axes[n] == 0 else shared[n] for n in wide}
        found = jax.jit(jax.vmap(lambda x: op(**x)[0], (axes,)))(tensors)
        for row in range(3):
            own = {n: x[row] if axes[n] == 0 else x for n, x in tensors.items()}
            self.assert_close(found[row], op(**own)[0], 1e-3)

    def test_packed_sequences_with_gaps(self):
        op = lathe.jax.op("gla")
        tensors, _ = self.draw(op.variant, batch=1)
        starts = jnp.array([2, 40, 90], jnp.int32)
        o, _ = jax.jit(lambda x: op(**x, cu_seqlens=starts))(tensors)
        self.assertFalse(o[:, :2].any() or o[:, 90:].any())
        alone, _ = op(**{n: x[:, 40:90] for n, x in tensors.items()})
        self.assert_close(o[:, 40:90], alone, 1e-3)

    def test_one_token(self):
        op = lathe.jax.op("gla")
        tensors, states = self.draw(op.variant)
        o, _ = op(**tensors, initial_state=states)
        first, _ = op(**{n: x[:, :1] for n, x in tensors.items()}, initial_state=states)
        self.assert_close(first, o[:, :1], 2e-3)


if __name__ == "__main__":
    unittest.main()
