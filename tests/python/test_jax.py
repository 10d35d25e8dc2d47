"""lathe.jax on the CPU: results and gradients are those of NumPy's calls, to the bit, under every
transformation."""

import sys
import unittest

import support
from support import ROOT, Case, np

try:
    import jax
    import jax.numpy as jnp
except ImportError as missing:
    print(f"SKIPPED: jax is missing ({missing}): ./dev test installs it")
    sys.exit(77)  # CTest's word

import lathe
import lathe.jax

SIZES = {"K": 6, "V": 4, "M": 3, "F": 6}


def draw(variant, batch=2, tokens=9, heads=2, seed=0, lead=()):
    """Inputs and params by name, log-decays below zero, and initial states; `lead` more axes."""
    random = np.random.default_rng(seed)
    sizes = SIZES | {dim: 1 + SIZES["K"] + SIZES["K"] ** 2 for dim in variant.derived}
    tensors, states = {}, {}
    for operand in variant.operands:
        leading = {
            "input": (batch, tokens, heads),
            "param": (heads,),
            "state": (batch, heads),
        }.get(operand.kind)
        if leading is None:
            continue
        shape = (*lead, *leading, *(sizes[dim] for dim in operand.dims))
        value = random.standard_normal(shape).astype(np.float32)
        value = -np.abs(value) if operand.log else value
        if operand.kind == "state":
            states[operand.name] = 1 + np.abs(value) if len(operand.dims) == 1 else value
        else:
            tensors[operand.name] = value
    return tensors, states


def parts(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def loss_of(op, **options):
    """The squares of outputs and of last states, which the gradients then follow."""

    def loss(tensors, states):
        o, last = op(**tensors, initial_state=states, output_final_state=True, **options)
        last = last if isinstance(last, dict) else {"": last}
        kept = [x for name, x in last.items() if name not in op._functions.scales]
        if op._functions.scales:
            kept = []
        return sum((x.astype(jnp.float32) ** 2).sum() for x in [*parts(o), *kept])

    return loss


class Variants(Case):
    """Every variant of the library, forward and backward."""


def add_variant(name):
    def test(self):
        variant, op = lathe.load(name), lathe.jax.op(name)
        tensors, states = draw(variant)
        o, last = variant(**tensors, initial_state=states, output_final_state=True)
        found, after = op(**tensors, initial_state=states, output_final_state=True)
        for one, other in zip(parts(found), parts(o), strict=True):
            np.testing.assert_array_equal(one, other)
        last = last if isinstance(last, dict) else {"": last}
        after = after if isinstance(after, dict) else {"": after}
        for state in last:
            np.testing.assert_array_equal(after[state], last[state])
        d_state = {n or variant.states[0]: 2 * x for n, x in last.items()}
        expected = variant.gradient(
            **tensors,
            initial_state=states,
            d_output=tuple(2 * x for x in parts(o)),
            d_state=None if op._functions.scales else d_state,
        )
        gradients, of_states = jax.jit(jax.grad(loss_of(op), (0, 1)))(tensors, states)
        for key, value in {**gradients, **of_states}.items():
            self.assert_close(value, expected[key], 1e-6, key)

    setattr(Variants, f"test_{name}", test)


for path in sorted((ROOT / "variants").glob("*.lathe")):
    add_variant(path.stem)


class Calls(Case):
    def setUp(self):
        self.op, self.variant = lathe.jax.op("gla"), lathe.load("gla")
        tensors, states = draw(self.variant)
        self.tensors, self.state = tensors, states["S"]

    def test_what_comes_back(self):
        o, state = self.op(*self.tensors.values())
        self.assertIsNone(state)
        self.assertEqual((o.shape, o.dtype), ((2, 9, 2, 4), jnp.float32))

    def test_consts(self):
        o, _ = self.op(**self.tensors, scale=0.75)
        np.testing.assert_array_equal(o, self.variant(**self.tensors, scale=0.75)[0])

    def test_packed_sequences(self):
        starts = np.array([0, 4, 4, 9], np.int32)
        packed = {name: x[:1] for name, x in self.tensors.items()}
        state = np.random.default_rng(3).standard_normal((3, 2, 6, 4)).astype(np.float32)
        options = {"cu_seqlens": starts}
        o, last = jax.jit(
            lambda x, s: self.op(**x, initial_state=s, output_final_state=True, **options)
        )(packed, state)
        other, after = self.variant(
            **packed, initial_state=state, output_final_state=True, **options
        )
        np.testing.assert_array_equal(o, other)
        np.testing.assert_array_equal(last, after)
        gradient = jax.grad(loss_of(self.op, cu_seqlens=jnp.asarray(starts)))(packed, state)
        expected = self.variant.gradient(
            **packed, initial_state=state, d_output=2 * other, d_state=2 * after, **options
        )
        self.assert_close(gradient["k"], expected["k"], 1e-6)

    def test_half_precision(self):
        for dtype in (jnp.bfloat16, jnp.float16):
            halves = {n: jnp.asarray(x, dtype) for n, x in self.tensors.items()}
            o, _ = self.op(**halves)
            self.assertEqual(o.dtype, dtype)
            whole = {n: x.astype(jnp.float32) for n, x in halves.items()}
            self.assert_close(o.astype(jnp.float32), self.op(**whole)[0], 1e-2)
            gradients = jax.grad(loss_of(self.op))(halves, self.state)
            expected = jax.grad(loss_of(self.op))(whole, self.state)
            for name, value in gradients.items():
                self.assertEqual(value.dtype, dtype)
                self.assert_close(value.astype(jnp.float32), expected[name], 2e-2, name)

    def test_fewer_heads(self):
        few = self.tensors | {"q": self.tensors["q"][:, :, :1]}
        wide = self.tensors | {"q": np.repeat(few["q"], 2, 2)}
        np.testing.assert_array_equal(self.op(**few)[0], self.op(**wide)[0])
        one = jax.grad(loss_of(self.op))(few, self.state)["q"]
        two = jax.grad(loss_of(self.op))(wide, self.state)["q"]
        self.assert_close(one, two.sum(2, keepdims=True), 1e-6)

    def test_in_a_loop_over_tokens(self):
        """By scan, the state carried: what decoding does."""
        rows = {n: jnp.moveaxis(x[:, :, None], 1, 0) for n, x in self.tensors.items()}

        def step(state, token):
            o, state = self.op(**token, initial_state=state, output_final_state=True)
            return state, o

        _, outputs = jax.lax.scan(step, jnp.zeros_like(self.state), rows)
        o, _ = self.op(**self.tensors)
        self.assert_close(jnp.moveaxis(outputs[:, :, 0], 0, 1), o, 2e-6)

    def test_an_own_equation(self):
        mine = lathe.jax.op(lathe.compile(self.variant.text.replace("variant gla", "variant own")))
        np.testing.assert_array_equal(mine(**self.tensors)[0], self.op(**self.tensors)[0])


class Batches(Case):
    """vmap gives what a loop does, also of gradients."""

    def check(self, name, mapped, options=None, per_row=False):
        """`mapped` are the tensors with an axis more; the others are shared."""
        variant, op = lathe.load(name), lathe.jax.op(name)
        wide, states = draw(variant, lead=(3,), seed=7)
        shared, _ = draw(variant, seed=8)
        tensors = {n: wide[n] if n in mapped else shared[n] for n in wide}
        axes = {n: 0 if n in mapped else None for n in wide}
        loss = jax.value_and_grad(loss_of(op, **(options or {})), (0, 1))
        found = jax.jit(jax.vmap(loss, (axes, 0)))(tensors, states)
        for row in range(3):
            own = {n: x[row] if n in mapped else x for n, x in tensors.items()}
            one = loss(own, {n: x[row] for n, x in states.items()})
            for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(found), strict=True):
                self.assert_close(b[row], a, 2e-6)

    def test_rows(self):
        self.check("gla", ("q", "k", "v", "g"))

    def test_some_of_them(self):
        self.check("gla", ("k", "g"))

    def test_with_params(self):
        """Gradients of what is shared are those of each row."""
        self.check("mamba2", ("C", "B", "x", "dt"))

    def test_params_of_each(self):
        self.check("gated_delta_net", ("q", "A_log"))

    def test_several_states(self):
        self.check("linear_attention", ("q", "k"))

    def test_packed(self):
        variant, op = lathe.load("gla"), lathe.jax.op("gla")
        tensors, states = draw(variant, batch=1, lead=(3,))
        starts = jnp.array([0, 4, 9])
        run = jax.vmap(lambda x: op(**x, cu_seqlens=starts)[0])
        found = run(tensors)
        for row in range(3):
            own = {n: x[row] for n, x in tensors.items()}
            self.assert_close(found[row], op(**own, cu_seqlens=starts)[0], 1e-6)
        with self.assertRaisesRegex(
            lathe.ArgumentError, "cu_seqlens is mapped over; all of a vmap must have the same"
        ):
            jax.vmap(lambda x, s: op(**x, cu_seqlens=s)[0])(tensors, jnp.stack([starts] * 3))

    def test_of_batches(self):
        op = lathe.jax.op("retnet")
        tensors, _ = draw(op.variant, lead=(2, 3))
        found = jax.vmap(jax.vmap(lambda x: op(**x)[0]))(tensors)
        for i in range(2):
            for j in range(3):
                own = {n: x[i, j] for n, x in tensors.items()}
                self.assert_close(found[i, j], op(**own)[0], 1e-6)

    def test_the_whole_loss(self):
        """The gradient of a sum over rows, weights shared: what training does."""
        op = lathe.jax.op("mamba2")
        tensors, states = draw(op.variant, lead=(3,))
        A = tensors.pop("A_log")[0]

        def whole(A):
            one = lambda x, s: loss_of(op)(x | {"A_log": A}, s)
            return jax.vmap(one)(tensors, states).sum()

        rows = sum(
            jax.grad(
                lambda A: loss_of(op)(
                    {n: x[row] for n, x in tensors.items()} | {"A_log": A},
                    {n: x[row] for n, x in states.items()},
                )
            )(A)
            for row in range(3)
        )
        self.assert_close(jax.jit(jax.grad(whole))(A), rows, 2e-6)


class Errors(Case):
    def setUp(self):
        self.op = lathe.jax.op("gla")
        self.tensors, _ = draw(self.op.variant)

    def test_shapes(self):
        self.assert_refused(
            lathe.ArgumentError,
            "gla: K is 5 in k [2, 9, 2, 5], but 6 in q [2, 9, 2, 6]",
            lambda: self.op(**self.tensors | {"k": self.tensors["k"][..., :5]}),
        )

    def test_dtypes(self):
        self.assert_refused(
            lathe.ArgumentError,
            "gla: q is int8; it must be float32, bfloat16 or float16",
            lambda: self.op(**self.tensors | {"q": jnp.zeros((2, 9, 2, 6), jnp.int8)}),
        )

    def test_names(self):
        self.assert_refused(
            lathe.ArgumentError,
            "gla: initial_state has a state T; the states are S",
            lambda: self.op(**self.tensors, initial_state={"T": 0}),
        )
        other = lathe.jax.op("linear_attention")
        tensors, states = draw(other.variant)
        self.assert_refused(
            lathe.ArgumentError,
            "linear_attention: initial_state is a ndarray; it must be a mapping of S, z, as the "
            "variant has several states",
            lambda: other(**tensors, initial_state=states["S"]),
        )
        self.assert_refused(
            lathe.ArgumentError,
            "variant is a int; it must be a name of the library, or what lathe.compile gives",
            lambda: lathe.jax.op(3),
        )

    def test_what_a_kernel_finds(self):
        """Its text comes through XLA."""
        packed = {n: x[:1] for n, x in self.tensors.items()}
        with self.assertRaisesRegex(Exception, "cu_seqlens.*must"):
            jax.block_until_ready(self.op(**packed, cu_seqlens=jnp.array([0, 12]))[0])

    def test_without_its_library(self):
        program = """
import lathe, lathe.jax
try:
    lathe.jax.op("gla")
except lathe.DeviceError as error:
    print(error)
"""
        said = self.python(program, LATHE_JAX_LIBRARY="/nowhere.so")
        self.assertIn("/nowhere.so can't be loaded", said)
        self.assertIn("it is built where jaxlib is installed, or name one in", said)


class Processes(Case):
    def test_programs_that_are_kept_on_disk(self):
        """One process compiles, the next finds it: nothing of the first one's memory is in it."""
        program = """
import jax, jax.numpy as jnp, lathe.jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
op = lathe.jax.op("gla")
x = jnp.ones((1, 5, 1, 4)) / 2
print(jax.jit(lambda x: op(x, x, x, -x)[0])(x).sum())
"""
        folder = support.SCRATCH.name + "/jax"
        first = self.python(program, JAX_COMPILATION_CACHE_DIR=folder)
        self.assertEqual(self.python(program, JAX_COMPILATION_CACHE_DIR=folder), first)


if __name__ == "__main__":
    unittest.main()
