"""What can be wrong with a call from PyTorch."""

import unittest

import numpy as np
from torch_support import Case, draw, torch

import lathe
import lathe.torch


class Refused(Case):
    def setUp(self):
        self.op = lathe.torch.op("gla")
        self.arrays = list(draw(self.op)[0].values())

    def refused(self, text, *args, error=lathe.ArgumentError, **named):
        self.assert_refused(error, text, self.op, *args, **named)

    def replaced(self, name, value):
        return [value if n == name else x for n, x in zip("qkvg", self.arrays)]

    def test_what_is_no_tensor(self):
        self.refused(
            "gla: k is a ndarray; it must be a torch.Tensor",
            *self.replaced("k", np.zeros(3)),
        )
        self.refused(
            "gla: initial_state S is a float; it must be a torch.Tensor or None",
            *self.arrays,
            initial_state=1.0,
        )
        self.refused(
            "gla: cu_seqlens is a list; it must be a torch.Tensor or None",
            *self.arrays,
            cu_seqlens=[0, 9],
        )

    def test_names(self):
        with self.assertRaisesRegex(lathe.ArgumentError, "^gla needs g as well: gla"):
            self.op(*self.arrays[:3])
        with self.assertRaisesRegex(lathe.ArgumentError, "^gla has no argument gate; it takes"):
            self.op(*self.arrays, gate=1)

    def test_dtypes(self):
        self.refused(
            "gla: v is torch.float64; it must be float32, bfloat16 or float16",
            *self.replaced("v", self.arrays[2].double()),
        )
        self.refused(
            "gla: v is i64; it must be f32 or bf16 or f16",
            *self.replaced("v", self.arrays[2].long()),
        )

    def test_shapes(self):
        self.refused(
            "gla: K is 5 in k [2, 9, 2, 5], but 6 in q [2, 9, 2, 6]",
            *self.replaced("k", self.arrays[1][..., :5]),
        )
        self.refused(
            "gla: q has 3 axes, [9, 2, 6]; it must have 4: [batch, tokens, heads, K]",
            *self.replaced("q", self.arrays[0][0]),
        )
        with self.assertRaisesRegex(lathe.ArgumentError, r"'k' has shape .*5.* must have .*9"):
            self.op(*self.replaced("k", self.arrays[1][:, :5]))

    def test_states(self):
        state = torch.zeros(2, 2, 6, 3)
        with self.assertRaisesRegex(lathe.ArgumentError, r"'initial S' .*\[2, 2, 6, 3\].*V=4"):
            self.op(*self.arrays, initial_state=state)
        self.refused(
            "gla: initial_state has a state T; the states are S",
            *self.arrays,
            initial_state={"T": state},
        )
        q, k, v, _ = self.arrays
        self.assert_refused(
            lathe.ArgumentError,
            "linear_attention: initial_state is a Tensor; it must be a mapping of S, z, as the "
            "variant has several states",
            lathe.torch.op("linear_attention"),
            q,
            k,
            v,
            initial_state=state,
        )

    def test_other_devices(self):
        self.refused(
            "gla: k is on meta; q is on cpu; all must be on one device",
            *self.replaced("k", self.arrays[1].to("meta")),
        )

    def test_packed_sequences(self):
        one = [x[:1] for x in self.arrays]
        self.refused(
            "gla: cu_seqlens is f32; it must be i32 or i64", *one, cu_seqlens=torch.zeros(2)
        )
        with self.assertRaisesRegex(lathe.ArgumentError, "cu_seqlens"):
            self.op(*one, cu_seqlens=torch.tensor([0, 10]))

    def test_second_derivatives(self):
        q = self.arrays[0].clone().requires_grad_()
        o = self.op(q, *self.arrays[1:])[0]
        (grad,) = torch.autograd.grad(o.square().sum(), q, create_graph=True)
        with self.assertRaisesRegex(
            lathe.UnsupportedError, "^gla: gradients of gradients are not computed; leave create_g"
        ):
            grad.sum().backward()

    def test_gradients_of_the_plain_variant(self):
        with self.assertRaisesRegex(lathe.ArgumentError, "^gla: q can't be exported through DLPa"):
            lathe.load("gla")(self.arrays[0].clone().requires_grad_(), *self.arrays[1:])

    def test_what_is_no_variant(self):
        self.assert_refused(
            lathe.ArgumentError,
            "variant is a int; it must be a name of the library, or what lathe.compile gives",
            lathe.torch.op,
            3,
        )

    def test_a_call_after_an_error_is_right(self):
        with self.assertRaises(lathe.ArgumentError):
            self.op(*self.replaced("k", self.arrays[1][:, :5]))
        self.op(*self.arrays)


if __name__ == "__main__":
    unittest.main()
