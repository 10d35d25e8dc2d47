"""lathe.load, lathe.compile, and calls on NumPy's arrays."""

import copy
import pickle
import unittest

from support import ROOT, Case, gla_arrays, naive_gla, np

import lathe
from draws import draw, expect, operands, unscaled
from variants import VARIANTS

SPEC = """variant total(K, V) {
  input  k[K], v[V], q[K]
  state  S[K, V]
  S <- S + k * v
  output o[V] = q @ S
}
"""


class Compile(Case):
    def test_what_a_variant_is(self):
        gla = lathe.load("gla")
        self.assertEqual(gla.name, "gla")
        self.assertEqual(gla.dims, ("K", "V"))
        self.assertEqual(gla.inputs, ("q", "k", "v", "g"))
        self.assertEqual(gla.constants, ("scale",))
        self.assertEqual((gla.outputs, gla.states, gla.params), (("o",), ("S",), ()))
        self.assertEqual(gla.text, (ROOT / "variants/gla.lathe").read_text())
        self.assertIn(lathe.Operand("g", "input", ("K",), True), gla.operands)
        self.assertIn("backward", gla.passes["cpu"])
        self.assertEqual(
            repr(gla),
            "<lathe.Variant gla(q[K], k[K], v[V], g[K] in log, scale) -> o[V], S[K, V]>",
        )

    def test_remarks_have_their_line(self):
        longhorn = lathe.load("longhorn")
        line = longhorn.remarks[0].line
        self.assertIn("S <-", longhorn.text.splitlines()[line - 1])

    def test_one_variant_of_a_text(self):
        text = SPEC + SPEC.replace("total", "other")
        self.assertEqual(lathe.compile(text, name="other").name, "other")
        with self.assertRaisesRegex(lathe.ArgumentError, "total.*other"):
            lathe.compile(text)

    def test_mistakes_are_shown_with_a_caret(self):
        with self.assertRaises(lathe.SpecError) as caught:
            lathe.compile(SPEC.replace("q @ S", "q @ Z"), file="my.lathe")
        text = str(caught.exception)
        self.assertTrue(text.startswith("my.lathe:5:21: error: "), text)
        self.assertIn("\n   5 |   output o[V] = q @ Z\n", text)
        self.assertRegex(text, r"\n     \|                     \^\n")
        self.assertIsInstance(caught.exception, ValueError)

    def test_unknown_names_list_the_library(self):
        with self.assertRaisesRegex(lathe.ArgumentError, "glu.*gated_delta_net.*gla"):
            lathe.load("glu")

    def test_text_must_be_text(self):
        refused = lathe.ArgumentError
        self.assert_refused(refused, "text is a bytes; it must be a str", lathe.compile, b"x")
        self.assert_refused(
            refused, "name holds a NUL character, which ends text in C", lathe.load, "g\0la"
        )

    def test_copies_and_pickles(self):
        gla = lathe.load("gla")
        self.assertIs(copy.deepcopy(gla), gla)
        self.assertIs(copy.copy(gla), gla)
        arrays, again = gla_arrays(), pickle.loads(pickle.dumps(gla))
        self.assertEqual((repr(again), again.file), (repr(gla), gla.file))
        np.testing.assert_array_equal(again(*arrays)[0], gla(*arrays)[0])

    def test_versions(self):
        self.assertRegex(lathe.version(), r"^\d+\.\d+\.\d+$")
        self.assertEqual(lathe.__version__, lathe.version())

    def test_tuning_modes(self):
        for mode in ("off", "lookup"):
            lathe.set_tuning(mode)
        self.assert_refused(
            lathe.ArgumentError,
            "tuning mode 'on'; it must be one of off, lookup, tune",
            lathe.set_tuning,
            "on",
        )


class Formulas(Case):
    """Every variant of the library against a transcription of its paper's formula."""

    def check(self, name):
        variant = VARIANTS[name]
        compiled = lathe.load(name)
        for tokens in (1, 65):
            arrays = {n: a.astype(np.float32) for n, a in draw(name, variant, tokens).items()}
            states = [state for state, _, _ in operands(variant.states)]
            tensors = {n: a for n, a in arrays.items() if n not in states}
            initial = {n: arrays[n] for n in states}
            found, last = compiled(
                **tensors,
                **variant.consts,
                initial_state=initial if len(states) > 1 else initial[states[0]],
                output_final_state=True,
            )
            results = dict(last) if isinstance(last, dict) else {states[0]: last}
            results |= zip(compiled.outputs, found if isinstance(found, tuple) else (found,))
            exact = expect(variant, {n: a.astype(float) for n, a in arrays.items()})
            results = unscaled(variant, results)
            self.assertEqual(set(results), set(exact))
            for key, array in exact.items():
                self.assert_close(results[key], array, 2e-5, f"{key}, {tokens} tokens")


for each in VARIANTS:
    setattr(Formulas, f"test_{each}", lambda self, name=each: self.check(name))


class Calls(Case):
    def setUp(self):
        self.gla = lathe.load("gla")
        self.arrays = gla_arrays()

    def test_by_position_and_by_name(self):
        q, k, v, g = self.arrays
        expected, last = naive_gla(q, k, v, g, scale=0.25)
        o, state = self.gla(q, k, g=g, v=v, scale=0.25, output_final_state=True)
        self.assert_close(o, expected)
        self.assert_close(state, last)
        self.assertEqual((o.dtype, state.dtype), (np.float32, np.float32))
        self.assertIsNone(self.gla(q, k, v, g)[1])
        self.assert_close(self.gla(q, k, v, g, scale=None)[0], naive_gla(q, k, v, g)[0])

    def test_the_state_goes_on(self):
        q, k, v, g = self.arrays
        whole, last = self.gla(q, k, v, g, output_final_state=True)
        first, state = self.gla(*(x[:, :7] for x in self.arrays), output_final_state=True)
        second, state = self.gla(
            *(x[:, 7:] for x in self.arrays), initial_state=state, output_final_state=True
        )
        self.assert_close(np.concatenate([first, second], 1), whole, 1e-6)
        self.assert_close(state, last, 1e-6)

    def test_strided_arrays_as_they_are(self):
        expected = naive_gla(*self.arrays)[0]
        heads_first = [np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2) for x in self.arrays]
        self.assertFalse(heads_first[0].flags.c_contiguous)
        self.assert_close(self.gla(*heads_first)[0], expected)
        reversed_twice = [x[:, ::-1].copy()[:, ::-1] for x in self.arrays]
        self.assert_close(self.gla(*reversed_twice)[0], expected)
        wide = np.random.default_rng(0).standard_normal((2, 33, 2, 40)).astype(np.float32)
        q, k, v, g = self.arrays
        wide[..., 3:11] = q
        self.assert_close(self.gla(wide[..., 3:11], k, v, g)[0], expected)
        shared = np.broadcast_to(q[:1, :1], q.shape)
        self.assert_close(self.gla(shared, k, v, g)[0], naive_gla(shared, k, v, g)[0])

    def test_fewer_heads(self):
        q, k, v, g = gla_arrays(heads=4)
        q, k = q[:, :, ::2].copy(), k[:, :, :1].copy()
        expected = naive_gla(q.repeat(2, 2), k.repeat(4, 2), v, g)[0]
        self.assert_close(self.gla(q, k, v, g)[0], expected)

    def test_packed_sequences(self):
        q, k, v, g = (x[:1] for x in self.arrays)
        for dtype in (np.int32, np.int64):
            starts = np.array([0, 5, 5, 33], dtype)
            state = np.random.default_rng(2).standard_normal((3, 2, 8, 6)).astype(np.float32)
            o, last = self.gla(
                q, k, v, g, cu_seqlens=starts, initial_state=state, output_final_state=True
            )
            for n, (begin, end) in enumerate(zip(starts, starts[1:])):
                own = (x[:, begin:end] for x in (q, k, v, g))
                expected, after = naive_gla(*own, state[n : n + 1])
                self.assert_close(last[n : n + 1], after)
                if end > begin:
                    self.assert_close(o[:, begin:end], expected)

    def test_float16_in_and_out(self):
        arrays = [x.astype(np.float16) for x in self.arrays]
        o, state = self.gla(*arrays, output_final_state=True)
        self.assertEqual((o.dtype, state.dtype), (np.float16, np.float32))
        self.assert_close(o, naive_gla(*arrays)[0], 1e-3)
        mixed = self.gla(*arrays[:3], arrays[3].astype(np.float32))[0]
        self.assert_close(mixed, o, 1e-3)

    def test_given_outputs(self):
        q, k, v, g = self.arrays
        expected, last = naive_gla(q, k, v, g)
        whole = np.full((2, 2, 33, 6), np.nan, np.float32)
        out = {"o": whole.swapaxes(1, 2), "S": np.full((2, 2, 8, 6), np.nan, np.float32)}
        o, state = self.gla(q, k, v, g, out=out, output_final_state=True)
        self.assertIs(o, out["o"])
        self.assertIs(state, out["S"])
        self.assert_close(whole.swapaxes(1, 2), expected)
        self.assert_close(state, last)

    def test_a_state_in_its_own_place(self):
        q, k, v, g = self.arrays
        state = np.random.default_rng(5).standard_normal((2, 2, 8, 6)).astype(np.float32)
        expected = naive_gla(q, k, v, g, state)[1]
        self.gla(q, k, v, g, initial_state=state, out={"S": state}, output_final_state=True)
        self.assert_close(state, expected)

    def test_nothing_to_do(self):
        q, k, v, g = (x[:, :0] for x in self.arrays)
        state = np.ones((2, 2, 8, 6), np.float32)
        o, last = self.gla(q, k, v, g, initial_state=state, output_final_state=True)
        self.assertEqual(o.shape, (2, 0, 2, 6))
        np.testing.assert_array_equal(last, state)

    def test_threads_do_not_change_the_bits(self):
        one = self.gla(*self.arrays, threads=1)[0]
        for threads in (0, 2, 5):
            np.testing.assert_array_equal(self.gla(*self.arrays, threads=threads)[0], one)

    def test_anything_with_dlpack(self):
        class Foreign:
            def __init__(self, array):
                self.array = array

            def __dlpack__(self, **_):
                return self.array.__dlpack__()

            def __dlpack_device__(self):
                return self.array.__dlpack_device__()

        expected = naive_gla(*self.arrays)[0]
        foreign = [Foreign(x) for x in self.arrays]
        self.assert_close(self.gla(*foreign)[0], expected)
        capsules = [x.__dlpack__() for x in self.arrays]
        self.assert_close(self.gla(*capsules)[0], expected)


class Gradient(Case):
    """Against central differences of the naive loop in double precision."""

    def setUp(self):
        self.gla = lathe.load("gla")
        self.arrays = gla_arrays(batch=1, tokens=5, K=3, V=2)
        draw = np.random.default_rng(8).standard_normal
        self.state, self.d_state = (draw((1, 2, 3, 2)).astype(np.float32) for _ in range(2))
        self.d_output = draw((1, 5, 2, 2)).astype(np.float32)

    def loss(self, values):
        o, last = naive_gla(*values)
        return (o * self.d_output).sum() + (last * self.d_state).sum()

    def differences(self, values, place, step=1e-5):
        values = [np.array(x, float) for x in values]
        found = np.zeros(values[place].shape)
        for index in np.ndindex(found.shape):
            middle = values[place][index]
            values[place][index] = middle + step
            above = self.loss(values)
            values[place][index] = middle - step
            found[index] = (above - self.loss(values)) / (2 * step)
            values[place][index] = middle
        return found

    def test_every_gradient(self):
        found = self.gla.gradient(
            *self.arrays, initial_state=self.state, d_output=self.d_output, d_state=self.d_state
        )
        values = [*self.arrays, self.state]
        for place, name in enumerate(("q", "k", "v", "g", "S")):
            self.assert_close(found[name], self.differences(values, place), 2e-5, name)
        scale = 3**-0.5
        o = naive_gla(*values)[0]
        self.assert_close(found["scale"], (o * self.d_output).sum() / scale, 2e-5)

    def test_what_the_loss_does_not_send_back_is_zero(self):
        zero = np.zeros_like(self.d_state)
        with_zero = self.gla.gradient(*self.arrays, d_output=self.d_output, d_state=zero)
        without = self.gla.gradient(*self.arrays, d_output={"o": self.d_output})
        for name, array in with_zero.items():
            np.testing.assert_array_equal(without[name], array)

    def test_fewer_heads_get_the_sum(self):
        q, k, v, g = self.arrays
        found = self.gla.gradient(q[:, :, :1].copy(), k, v, g, d_output=self.d_output)
        whole = self.gla.gradient(q[:, :, [0, 0]].copy(), k, v, g, d_output=self.d_output)
        self.assert_close(found["q"], whole["q"].sum(2, keepdims=True), 1e-6)


if __name__ == "__main__":
    unittest.main()
