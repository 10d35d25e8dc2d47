"""Whatever can be wrong with a call from NumPy: the text names the argument, what it was, and what
it must be."""

import pathlib
import unittest

from support import Case, gla_arrays, np

import lathe

SIGNATURE = "gla(q[K], k[K], v[V], g[K] in log, scale) -> o[V], S[K, V]"


class Refused(Case):
    def setUp(self):
        self.gla = lathe.load("gla")
        self.arrays = gla_arrays()

    def refused(self, text, *args, **named):
        self.assert_refused(lathe.ArgumentError, text, self.gla, *args, **named)

    def replaced(self, name, value):
        return [value if n == name else x for n, x in zip("qkvg", self.arrays)]

    def test_names_and_places(self):
        q, k, v, g = self.arrays
        self.refused(f"gla needs v, g as well: {SIGNATURE}", q, k)
        self.refused(f"gla has no argument w; it takes {SIGNATURE}", q, k, v, g, w=1)
        self.refused("gla got q twice: by position and by name", q, k, v, g, q=q)
        self.refused(f"gla takes 4 tensors by position, not 5: {SIGNATURE}", q, k, v, g, g)

    def test_what_is_no_number(self):
        text = "gla: scale is a str; it must be a number"
        self.refused(text, *self.arrays, scale="big")
        text = "gla: threads is a float; it must be an int"
        self.refused(text, *self.arrays, threads=1.0)
        with self.assertRaisesRegex(lathe.ArgumentError, "threads is -1; it must be at least"):
            self.gla(*self.arrays, threads=-1)

    def test_what_is_no_array(self):
        self.refused(
            "gla: k is a list; it must be an array: NumPy's, or anything with __dlpack__",
            *self.replaced("k", [1.0]),
        )

    def test_dtypes(self):
        self.refused(
            "gla: v is float64; accepted are float32, float16 and bfloat16, and int32 and int64 "
            "for lists",
            *self.replaced("v", self.arrays[2].astype(float)),
        )
        self.refused(
            "gla: v is i32; it must be f32 or bf16 or f16",
            *self.replaced("v", self.arrays[2].astype(np.int32)),
        )
        self.refused(
            "gla: v is float32 in foreign byte order; accepted are float32, float16 and bfloat16, "
            "and int32 and int64 for lists",
            *self.replaced("v", self.arrays[2].astype(">f4")),
        )

    def test_axes_and_sizes(self):
        q = self.arrays[0]
        self.refused(
            "gla: q has 3 axes, [33, 2, 8]; it must have 4: [batch, tokens, heads, K]",
            *self.replaced("q", q[0]),
        )
        self.refused(
            "gla: K is 7 in k [2, 33, 2, 7], but 8 in q [2, 33, 2, 8]",
            *self.replaced("k", self.arrays[1][..., :7]),
        )
        for name, value, named in (
            ("k", self.arrays[1][:, :5], "k"),
            ("k", self.arrays[1][:1], "k"),
            ("v", np.zeros((2, 33, 3, 6), np.float32), "q"),  # 2 heads don't divide 3
        ):
            text = rf"'{named}' has shape .*; it must have .* that divide them"
            with self.assertRaisesRegex(lathe.ArgumentError, text):
                self.gla(*self.replaced(name, value))

    def test_strides(self):
        v = np.zeros((2, 33, 6, 2), np.float32).swapaxes(2, 3)
        with self.assertRaisesRegex(
            lathe.ArgumentError, "'v' has the stride 2 on its last.* must be 1"
        ):
            self.gla(*self.replaced("v", v))
        odd = np.zeros(2 * 33 * 2 * 33 + 1, np.uint8)
        odd = np.ndarray((2, 33, 2, 8), np.float32, np.zeros(9000, np.uint8), 0, (4290, 130, 65, 4))
        self.refused(
            "gla: q has strides of (4290, 130, 65, 4) bytes; they must be multiples of its "
            "element's 4",
            *self.replaced("q", odd),
        )

    def test_states(self):
        state = np.zeros((2, 2, 8, 6), np.float32)
        with self.assertRaisesRegex(lathe.ArgumentError, r"'initial S' .*\[2, 2, 8, 5\].*V=6"):
            self.gla(*self.arrays, initial_state=state[..., :5])
        with self.assertRaisesRegex(lathe.ArgumentError, "'initial S' .*f16.*f32"):
            self.gla(*self.arrays, initial_state=state.astype(np.float16))
        self.refused(
            "gla: initial_state has a state T; the states are S",
            *self.arrays,
            initial_state={"T": state},
        )
        q, k, v, _ = self.arrays
        self.assert_refused(
            lathe.ArgumentError,
            "linear_attention: initial_state is a ndarray; it must be a mapping of S, z, as the "
            "variant has several states",
            lathe.load("linear_attention"),
            q,
            k,
            v,
            initial_state=state,
        )

    def test_packed_sequences(self):
        one = [x[:1] for x in self.arrays]
        self.refused(
            "gla: cu_seqlens is f32; it must be i32 or i64",
            *one,
            cu_seqlens=np.zeros(2, np.float32),
        )
        self.refused(
            "gla: cu_seqlens has the shape [2, 1]; it must be [sequences + 1]",
            *one,
            cu_seqlens=np.zeros((2, 1), np.int32),
        )
        self.refused(
            "gla: cu_seqlens has the shape [0]; it must be [sequences + 1]",
            *one,
            cu_seqlens=np.zeros(0, np.int32),
        )
        for starts in ([0, 40], [5, 3], [-1, 3]):
            with self.assertRaisesRegex(lathe.ArgumentError, "cu_seqlens"):
                self.gla(*one, cu_seqlens=np.array(starts, np.int32))
        with self.assertRaisesRegex(lathe.ArgumentError, "batch"):
            self.gla(*self.arrays, cu_seqlens=np.array([0, 33], np.int32))

    def test_outputs(self):
        state = np.zeros((2, 2, 8, 6), np.float32)
        self.refused("gla: out has S; it may have o", *self.arrays, out={"S": state})
        o = np.zeros((2, 33, 2, 6), np.float32)
        o.flags.writeable = False
        self.refused(
            "gla: o is read-only; it is written, so it must be writable",
            *self.arrays,
            out={"o": o},
        )
        with self.assertRaisesRegex(lathe.ArgumentError, r"'o' .*\[2, 33, 2, 5\].*V=6"):
            self.gla(*self.arrays, out={"o": np.zeros((2, 33, 2, 5), np.float32)})
        before = [x.copy() for x in self.arrays]
        with self.assertRaises(lathe.ArgumentError):
            self.gla(*self.arrays, out={"o": np.lib.stride_tricks.as_strided(o, o.shape, (0,) * 4)})
        for array, kept in zip(self.arrays, before):
            np.testing.assert_array_equal(array, kept)

    def test_gradients(self):
        o = np.zeros((2, 33, 2, 6), np.float32)
        self.assert_refused(
            lathe.ArgumentError,
            "gla: d_output has p; the outputs are o",
            self.gla.gradient,
            *self.arrays,
            d_output={"p": o},
        )
        self.assert_refused(
            lathe.ArgumentError,
            "gla: d_output has 2 arrays; the outputs are o",
            self.gla.gradient,
            *self.arrays,
            d_output=(o, o),
        )
        with self.assertRaisesRegex(lathe.ArgumentError, r"'d\.o' .*\[2, 33, 2, 5\].*V=6"):
            self.gla.gradient(*self.arrays, d_output=o[..., :5])

    def test_used_capsules(self):
        q, k, v, g = self.arrays
        capsule = q.__dlpack__()
        np.from_dlpack(Exported(capsule))
        self.refused(
            "gla: q is a capsule that holds no DLPack tensor, or one that is used up; it must be "
            "one named 'dltensor'",
            capsule,
            k,
            v,
            g,
        )

    def test_other_devices(self):
        class OnGpu:
            def __dlpack__(self, **_):
                raise AssertionError("must not be asked")

            def __dlpack_device__(self):
                return (2, 1)

        self.refused(
            "gla: q is on DLPack device 2:1; a call of a variant takes memory of the CPU "
            "(PyTorch's tensors of a GPU go through lathe.torch)",
            *self.replaced("q", OnGpu()),
        )

    def test_a_call_after_an_error_is_right(self):
        with self.assertRaises(lathe.ArgumentError):
            self.gla(*self.replaced("k", self.arrays[1][:, :5]))
        self.gla(*self.arrays)


class Exported:
    """What has a capsule to give."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


class Library(Case):
    """Finding liblathe."""

    def message(self, **environment):
        return self.python(
            "import lathe\n"
            "try:\n"
            "    lathe.load('gla')\n"
            "except lathe.DeviceError as error:\n"
            "    print(error)\n",
            **environment,
        )

    def test_not_there(self):
        self.assertEqual(
            self.message(LATHE_LIBRARY="/nowhere/liblathe.so"),
            "liblathe is not at /nowhere/liblathe.so: unset LATHE_LIBRARY, or name a liblathe.so\n",
        )

    def test_not_in_the_package(self):
        place = pathlib.Path(lathe.__file__).parent / "lib/liblathe.so"
        self.assertEqual(
            self.message(LATHE_LIBRARY=""),
            f"liblathe is not at {place}: install the package with pip, or name a liblathe.so in "
            "LATHE_LIBRARY\n",
        )

    def test_no_library(self):
        self.assertRegex(
            self.message(LATHE_LIBRARY=__file__), rf"^{__file__} can't be loaded: .*\n$"
        )

    def test_another_library(self):
        import ctypes.util

        name = ctypes.util.find_library("c")
        path = next(
            (
                path
                for folder in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64")
                if (path := pathlib.Path(folder, name)).is_file()
            ),
            None,
        )
        if path is None:
            self.skipTest("the C library is nowhere that this test knows")
        self.assertRegex(
            self.message(LATHE_LIBRARY=str(path)), r"is no liblathe of this version: .*lathe_abi"
        )


if __name__ == "__main__":
    unittest.main()
