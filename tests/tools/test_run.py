"""lathe run through the interpreter, against numpy."""

import unittest

from cli import SUM, VARIANTS, Case

try:
    import numpy as np

    import formulas
except ImportError as missing:
    raise unittest.SkipTest(f"numpy is missing ({missing}): ./dev installs it") from missing


def ratio(found, expected):
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean())


class Run(Case):
    def npz(self, name, **arrays):
        np.savez(self.folder / name, **arrays)

    def run_on_cpu(self, name, *options, code=0):
        device = () if "--device" in options else ("--device", "interpreter")
        files = ("--input", "x.npz", "--output", "y.npz")
        done = self.lathe("run", name, *files, *device, *options, code=code)
        self.assertEqual(done.stdout, "")
        return done

    def load(self, name="y.npz"):
        with np.load(self.folder / name) as file:
            return dict(file)

    def assert_close(self, found, expected, limit=1e-6):
        self.assertEqual(set(found), set(expected))
        for key, array in expected.items():
            self.assertEqual(found[key].dtype, np.float32)
            self.assertEqual(found[key].shape, array.shape, key)
            self.assertLess(ratio(found[key], array), limit, key)

    def test_every_variant_against_its_formula(self):
        for name in VARIANTS:
            arrays = formulas.draw(name)
            self.npz("x.npz", **arrays)
            done = self.run_on_cpu(name, "--check")
            exact = {key: array.astype(float) for key, array in arrays.items()}
            self.assert_close(self.load(), getattr(formulas, name)(exact))
            self.assertEqual(done.stderr.count("against the chunk form, limit 1e-12: right"),
                             3 if name == "linear_attention" else 2)

    def test_states_start_from_zero(self):
        arrays = formulas.draw("gla")
        arrays["S"] = np.zeros_like(arrays["S"])
        expected = formulas.gla(arrays)
        del arrays["S"]
        self.npz("x.npz", **arrays)
        self.run_on_cpu("gla")
        self.assert_close(self.load(), expected)

    def test_derived_sizes_follow(self):
        path = self.write(
            "taylor.lathe",
            SUM.replace("K, V) {", "K, F = taylor2(K), V) {")
            .replace("S[K, V]", "S[F, V]")
            .replace("k * v", "taylor2(k) * v")
            .replace("q @ S", "taylor2(q) @ S"),
        )
        draw = np.random.default_rng(3).standard_normal
        q, k, v = (draw((1, 9, 2, size)) for size in (4, 4, 3))
        self.npz("x.npz", q=q, k=k, v=v)
        self.run_on_cpu(path, "--check")
        dots = np.einsum("bihk,bjhk->bhij", q, k)
        weights = np.tril(1 + dots + dots**2 / 2)
        found = self.load()
        self.assertLess(ratio(found["o"], np.einsum("bhij,bjhv->bihv", weights, v)), 1e-6)
        self.assertEqual(found["S"].shape, (1, 2, 21, 3))
        self.npz("x.npz", q=q, k=k, v=v, S=np.zeros((1, 2, 20, 3)))
        self.assertIn(
            "lathe: variant total: the dimension F has the size 20; it is taylor2(K) of K = 4, so "
            "it must be 21, or left out\n",
            self.run_on_cpu(path, code=1).stderr,
        )

    def test_the_output_continues_as_the_input_of_the_next_run(self):
        arrays = formulas.draw("gla", tokens=20)
        halves = []
        for part in (slice(0, 7), slice(7, 20)):
            piece = {n: a if n == "S" else a[:, part] for n, a in arrays.items()}
            piece["S"] = halves[-1]["S"] if halves else arrays["S"]
            self.npz("x.npz", **piece)
            self.run_on_cpu("gla")
            halves.append(self.load())
        joined = {"o": np.concatenate([half["o"] for half in halves], 1), "S": halves[1]["S"]}
        self.assert_close(joined, formulas.gla(arrays))

    def test_heads_first(self):
        arrays = formulas.draw("gla")
        expected = formulas.gla(arrays)
        self.npz("x.npz", **{n: a if n == "S" else a.swapaxes(1, 2) for n, a in arrays.items()})
        self.run_on_cpu("gla", "--layout", "bhtd")
        self.assert_close(self.load(), {"o": expected["o"].swapaxes(1, 2), "S": expected["S"]})

    def packed(self, starts=(0, 5, 5, 6, 20), dtype=np.int32):
        arrays = {n: a[:1] for n, a in formulas.draw("gla", tokens=20).items()}
        states = np.random.default_rng(3).standard_normal((len(starts) - 1, *arrays["S"].shape[1:]))
        return arrays | {"S": states.astype(np.float32), "cu_seqlens": np.array(starts, dtype)}

    def test_packed_sequences(self):
        for device in ("interpreter", "cpu"):
            for dtype in (np.int32, np.int64):
                arrays = self.packed(dtype=dtype)
                starts = arrays["cu_seqlens"]
                self.npz("x.npz", **arrays)
                self.run_on_cpu("gla", "--device", device, "--check")
                found = self.load()
                self.assertEqual(found["o"].shape[:2], (1, 20))
                self.assertEqual(found["S"].shape, arrays["S"].shape)
                for n, (begin, end) in enumerate(zip(starts, starts[1:])):
                    if begin == end:
                        np.testing.assert_array_equal(found["S"][n], arrays["S"][n])
                        continue
                    own = {k: a[:, begin:end] for k, a in arrays.items() if k in "qkvg"}
                    expected = formulas.gla(own | {"S": arrays["S"][n : n + 1]})
                    self.assertLess(ratio(found["o"][:, begin:end], expected["o"]), 1e-6)
                    self.assertLess(ratio(found["S"][n : n + 1], expected["S"]), 1e-6)

    def test_no_packed_sequences(self):
        arrays = {n: a[:, :0] for n, a in self.packed().items() if n in "qkvg"}
        self.npz("x.npz", **arrays, cu_seqlens=np.zeros(1, np.int64))
        self.run_on_cpu("gla")
        self.assertEqual(self.load()["S"].shape[0], 0)

    def test_orders_dtypes_and_compression(self):
        arrays = formulas.draw("gla")
        expected = formulas.gla({n: a.astype(np.float16).astype(float) for n, a in arrays.items()})
        arrays = {n: a.astype(np.float16).astype(np.float64) for n, a in arrays.items()}
        arrays["q"] = np.asfortranarray(arrays["q"])
        arrays["k"] = arrays["k"].astype(np.float16)
        np.savez_compressed(self.folder / "x.npz", **arrays)
        self.run_on_cpu("gla")
        self.assert_close(self.load(), expected)

    def test_a_param_of_two_dimensions_has_its_heads_first(self):
        spec = SUM.replace("state ", "param  W[K, V]\n  state ").replace("k * v", "k * v * W")
        self.npz("x.npz", k=np.ones((1, 3, 2, 5)), v=np.ones((1, 3, 2, 4)),
                 q=np.ones((1, 3, 2, 5)), W=np.full((2, 5, 4), 2.0))
        self.run_on_cpu(self.write("weighted.lathe", spec))
        self.assertEqual(self.load()["o"][0, :, 1, 0].tolist(), [10, 20, 30])

    def test_doubles_stay_doubles(self):
        arrays = {n: a.astype(float) for n, a in formulas.draw("gla").items()}
        self.npz("x.npz", **arrays)
        self.run_on_cpu("gla")
        for key, array in formulas.gla(arrays).items():
            self.assertEqual(self.load()[key].dtype, np.float64)
            self.assertLess(ratio(self.load()[key], array), 1e-14)
        self.run_on_cpu("gla", "--dtype", "f32")
        self.assertEqual(self.load()["o"].dtype, np.float32)

    def test_the_chunk_form(self):
        arrays = formulas.draw("gla")
        self.npz("x.npz", **arrays)
        done = self.run_on_cpu("gla", "--chunk", "4", "--check")
        self.assertIn("the interpreter in double precision, in chunks of 4\n", done.stderr)
        self.assertEqual(done.stderr.count("against the token form, limit 1e-12: right"), 2)
        self.assert_close(self.load(), formulas.gla(arrays))

    def test_a_const_is_overridden(self):
        arrays = formulas.draw("gla")
        expected = formulas.gla(arrays)
        self.npz("x.npz", **arrays, scale=np.float32(2))
        self.run_on_cpu("gla")
        scaled = expected["o"] * 2 * np.sqrt(arrays["q"].shape[-1])
        self.assert_close(self.load(), {"o": scaled, "S": expected["S"]})

    def test_inputs_are_rounded_where_a_dtype_is_named(self):
        arrays = formulas.draw("gla")
        expected = formulas.gla(arrays)
        self.npz("x.npz", **arrays)
        self.run_on_cpu("gla", "--dtype", "bf16")
        error = ratio(self.load()["o"], expected["o"])
        self.assertGreater(error, 1e-4)
        self.assertLess(error, 1e-2)

    def test_a_state_without_update_in_the_file_is_an_error(self):
        path = self.write("total.lathe", SUM)
        self.npz("x.npz", k=np.ones((1, 3, 1, 2)), v=np.ones((1, 3, 1, 4)), q=np.ones((1, 3, 1, 2)))
        self.run_on_cpu(path)
        self.assertEqual(self.load()["o"][0, :, 0, 0].tolist(), [2, 4, 6])


class CpuTarget(Run):
    def test_every_variant_against_its_formula(self):
        for name in VARIANTS:
            arrays = formulas.draw(name)
            self.npz("x.npz", **arrays)
            done = self.run_on_cpu(name, "--device", "cpu", "--check")
            exact = {key: array.astype(float) for key, array in arrays.items()}
            self.assert_close(self.load(), getattr(formulas, name)(exact), 1e-5)
            self.assertIn("compiled", done.stderr)
            self.assertEqual(done.stderr.count("against the interpreter, limit 1e-05: right"),
                             3 if name == "linear_attention" else 2)

    def test_half_precision(self):
        self.npz("x.npz", **formulas.draw("gla"))
        done = self.run_on_cpu("gla", "--device", "cpu", "--dtype", "bf16", "--check")
        self.assertIn("o: RMS(diff)/RMS(ref)", done.stderr)
        self.assertIn("against the interpreter, limit 4e-03: right", done.stderr)
        self.assertIn("against the interpreter, limit 1e-05: right", done.stderr)

    def test_a_const_is_overridden(self):
        arrays = formulas.draw("gla")
        expected = formulas.gla(arrays)
        self.npz("x.npz", **arrays, scale=np.float32(2))
        self.run_on_cpu("gla", "--device", "cpu")
        scaled = expected["o"] * 2 * np.sqrt(arrays["q"].shape[-1])
        self.assert_close(self.load(), {"o": scaled, "S": expected["S"]}, 1e-5)

    def test_chunks_are_of_the_interpreter(self):
        self.npz("x.npz", **formulas.draw("gla"))
        done = self.run_on_cpu("gla", "--device", "auto", "--chunk", "5")
        self.assertIn("the interpreter in double precision", done.stderr)
        self.assertEqual(
            self.run_on_cpu("gla", "--device", "cpu", "--chunk", "5", code=1).stderr,
            "lathe: --chunk is for --device interpreter; on a GPU --tile c16 sets the chunk\n",
        )

    def test_auto_takes_it_where_there_is_no_gpu(self):
        self.npz("x.npz", **formulas.draw("gla"))
        done = self.run_on_cpu("gla", "--device", "auto", "--check")
        self.assertIn("against the interpreter, limit 1e-05: right", done.stderr)


class Mistakes(Run):
    def error(self, *options, code=1, **arrays):
        self.npz("x.npz", **arrays)
        done = self.run_on_cpu("gla", *options, code=code)
        self.assertFalse((self.folder / "y.npz").exists())
        return done.stderr

    def test_a_variant_without_chunks(self):
        path = self.write("saturated.lathe", SUM.replace("S <- S", "S <- tanh(S)"))
        self.npz("x.npz", k=np.ones((1, 3, 1, 2)), v=np.ones((1, 3, 1, 4)), q=np.ones((1, 3, 1, 2)))
        self.assertEqual(
            self.run_on_cpu(path, "--chunk", "4", code=1).stderr,
            "lathe: variant total has no chunk form, which --chunk asks for; 'lathe check' says "
            "why\n",
        )

    def test_a_missing_array(self):
        arrays = formulas.draw("gla")
        del arrays["k"]
        self.assertEqual(self.error(**arrays), "lathe: the input lacks 'k', of shape [B,T,H,K]\n")

    def test_an_unknown_array(self):
        self.assertEqual(
            self.error(**formulas.draw("gla"), w=np.ones(3)),
            "lathe: the input holds 'w', which variant gla does not read; it reads q, k, v, g, "
            "scale, S\n",
        )

    def test_a_shape_that_does_not_fit(self):
        arrays = formulas.draw("gla")
        arrays["k"] = arrays["k"][..., :5]
        self.assertEqual(
            self.error(**arrays),
            "lathe: 'k' has shape [2, 21, 4, 5]; expected is [B,T,H,K] with B=2, T=21, K=6 "
            "(--layout bhtd: heads first)\n",
        )

    def test_heads_that_do_not_divide(self):
        arrays = formulas.draw("gla")
        arrays["k"] = arrays["k"][:, :, :3]
        self.assertEqual(
            self.error(**arrays),
            "lathe: 'k' has 3 heads, which do not divide 4, the most of any array\n",
        )

    def test_packed_sequences_that_do_not_fit(self):
        arrays = self.packed()
        for starts, text in (
            ([[0, 20]], "has shape [1, 2]; expected is [sequences + 1]"),
            ([], "has shape [0]; expected is [sequences + 1]"),
            ([0.0, 20.0], "has dtype '<f8'; it must be int32 or int64"),
            ([0, 5, 4, 6, 20], "is [0, 5, 4, 6, 20]; it must begin with 0, never fall, and end "
                               "with the number of tokens, T=20"),
            ([0, 5, 5, 6, 19], "is [0, 5, 5, 6, 19]; it must begin with 0, never fall, and end "
                               "with the number of tokens, T=20"),
        ):
            starts = np.array(starts, None if starts else np.int32)
            self.assertEqual(self.error(**arrays | {"cu_seqlens": starts}),
                             f"lathe: 'cu_seqlens' {text}\n")
        self.assertEqual(
            self.error(**formulas.draw("gla", tokens=20) | {
                "S": arrays["S"], "cu_seqlens": arrays["cu_seqlens"]}),
            "lathe: the inputs have B=2; with cu_seqlens it must be 1, as sequences follow each "
            "other on the axis T\n",
        )
        self.assertEqual(
            self.error(**arrays | {"S": arrays["S"][:3]}),
            "lathe: 'S' has shape [3, 4, 6, 5]; expected is [sequences,H,K,V] with sequences=4, "
            "K=6, V=5 (--layout bhtd: heads first)\n",
        )

    def test_dtypes_that_are_no_numbers(self):
        arrays = formulas.draw("gla")
        arrays["k"] = arrays["k"].astype(complex)
        self.assertIn("'k' of x.npz has dtype '<c16'; accepted are little-endian float16",
                      self.error(**arrays))

    def test_big_endian(self):
        arrays = formulas.draw("gla")
        arrays["k"] = arrays["k"].astype(">f4")
        self.assertIn("'k' of x.npz has dtype '>f4'; accepted are", self.error(**arrays))

    def test_a_file_that_is_no_npz(self):
        (self.folder / "x.npz").write_bytes(b"not a zip file")
        self.assertEqual(
            self.run_on_cpu("gla", code=1).stderr,
            "lathe: 'x.npz' is no .npz file; write it with numpy.savez(path, name=array, ...)\n",
        )

    def test_a_file_that_is_cut_or_changed(self):
        self.npz("x.npz", **formulas.draw("gla"))
        whole = (self.folder / "x.npz").read_bytes()
        for content in (whole[: len(whole) // 2], whole[:1000] + b"\x55" * 8 + whole[1008:]):
            (self.folder / "x.npz").write_bytes(content)
            done = self.run_on_cpu("gla", code=1)
            self.assertRegex(done.stderr, r"^lathe: '.*(x\.npz)")

    def test_a_file_that_is_not_there(self):
        self.assertEqual(
            self.run_on_cpu("gla", code=1).stderr,
            "lathe: cannot find 'x.npz', an .npz file as numpy.savez writes it\n",
        )

    def test_an_output_that_cannot_be_written(self):
        self.npz("x.npz", **formulas.draw("gla"))
        done = self.lathe("run", "gla", "--input", "x.npz", "--output", "no/y.npz", code=1)
        self.assertIn(
            "lathe: cannot write 'no/y.npz': its folder must be there and writable\n", done.stderr
        )

    def test_a_gpu_that_is_not_there(self):
        self.npz("x.npz", **formulas.draw("gla"))
        done = self.run_on_cpu("gla", "--device", "cuda:0", code=1)
        self.assertRegex(done.stderr, r"^lathe: .*no-libcuda\.so")


if __name__ == "__main__":
    unittest.main()
