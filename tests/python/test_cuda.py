"""Calls of a GPU, on the emulator (tests/emulator), whose device memory is that of the process.

PyTorch knows nothing of it: its tensors of the CPU are bound as if they were on GPU 0.
"""

import os
import sys
import unittest
from unittest import mock

if "emulated" not in os.environ.get("LATHE_CUDA_PATH", ""):
    print("SKIPPED: LATHE_CUDA_PATH names no emulator: run it through ctest")
    sys.exit(77)

from torch_support import Case, draw, recurrences, required, torch

import lathe
import lathe.torch
from lathe import _abi, _torch_calls

GPU = (2, 0)
layout_of = _torch_calls._layout


def on_gpu(name, tensor):
    return layout_of(name, tensor)._replace(device=GPU)


class Emulated(Case):
    def setUp(self):
        patch = mock.patch.object(_torch_calls, "_layout", on_gpu)
        patch.start()
        self.addCleanup(patch.stop)

    def run_on_gpu(self, op, tensors, states, starts=None, asked=True, cotangents=None):
        """What Calls.run does with tensors of a GPU, the stream being that of the context; with
        cotangents a backward pass."""
        calls = op._operators.calls
        given = [*tensors.values(), *(states.get(name) for name in op._operators.states)]
        constants = (None,) * len(op.variant.constants)
        pass_ = _abi.FORWARD if cotangents is None else _abi.BACKWARD
        given += cotangents or []
        bound = calls._bind(pass_, given, starts, constants, asked)
        given = [x.contiguous() if place in bound.copies else x for place, x in enumerate(given)]
        made = [torch.full(shape, torch.nan, dtype=dtype) for shape, dtype in bound.made]
        pointers = [(given + made)[place].data_ptr() for place in bound.order]
        sequences = 0 if starts is None else starts.data_ptr()
        bound.binding.launch(pointers, sequences, None, self.workspace)
        return made, bound.binding.kernel.about

    def workspace(self, size):
        room = torch.zeros(size + 256, dtype=torch.uint8)
        return -(-room.data_ptr() // 256) * 256, room

    def check(self, name, tokens, passes, **named):
        op = lathe.torch.op(name)
        tensors, states = self.draw(op, tokens)
        (o, last), about = self.run_on_gpu(op, tensors, states)
        self.assertEqual((about["pass"], about["device"]["type"]), (passes, "cuda"))
        exact = {n: x.double() for n, x in tensors.items()}
        expected, after = getattr(recurrences, name)(
            **exact, **{n: x.double() for n, x in states.items()}
        )
        self.assertEqual((o.dtype, last.dtype), (torch.bfloat16, torch.float32))
        self.assert_close(o.float(), expected, 1e-2)
        self.assert_close(last, after["S"], 1e-2)

    def draw(self, op, tokens, **named):
        """Sizes that kernels of tensor cores take."""
        sizes = {"K": 32, "V": 32}
        with mock.patch("torch_support.SIZES", sizes):
            return draw(op, tokens=tokens, dtype=torch.bfloat16, **named)

    def test_forward(self):
        self.check("gla", 20, "forward")

    def test_one_token_is_a_step(self):
        self.check("gla", 1, "step")

    def test_params(self):
        self.check("mamba2", 20, "forward")

    def test_packed_sequences_with_gaps(self):
        op = lathe.torch.op("gla")
        tensors, _ = self.draw(op, 20, batch=1)
        starts = torch.tensor([2, 9, 9, 17], dtype=torch.int32)
        (o, last), _ = self.run_on_gpu(op, tensors, {}, starts)
        for n, (begin, end) in enumerate(((2, 9), (9, 17))):
            own = {name: x[:, begin:end].double() for name, x in tensors.items()}
            zero = torch.zeros(1, 2, 32, 32, dtype=torch.double)
            expected, after = recurrences.gla(**own, S=zero)
            self.assert_close(o[:, begin:end].float(), expected, 1e-2)
            self.assert_close(last[2 * n], after["S"][0], 1e-2)
        self.assertFalse(last[1].any())
        self.assertTrue(o[:, :2].isnan().all() and o[:, 17:].isnan().all())

    def test_states_in_either_order_and_dtype(self):
        op = lathe.torch.op("gla")
        tensors, states = self.draw(op, 20)
        state = states["S"].bfloat16()
        (o, last), _ = self.run_on_gpu(op, tensors, {"S": state})
        turned = state.transpose(2, 3).contiguous().transpose(2, 3)
        self.assertFalse(turned.is_contiguous())
        (other, other_last), _ = self.run_on_gpu(op, tensors, {"S": turned})
        self.assertEqual(last.dtype, torch.bfloat16)
        self.assertTrue(torch.equal(o, other) and torch.equal(last, other_last))

    def check_gradients(self, name, limit=2e-2, groups=None):
        op = lathe.torch.op(name)
        tensors, states = self.draw(op, 20)
        for one in groups or ():
            tensors[one] = tensors[one][:, :, :1].contiguous()
        exact = required({n: x.double() for n, x in (tensors | states).items()})
        heads = next(x for n, x in tensors.items() if n not in (groups or ())).shape[2]
        spread = {n: x.expand(-1, -1, heads, -1) if n in (groups or ()) else x
                  for n, x in exact.items()}
        expected, after = getattr(recurrences, name)(**spread)
        random = torch.Generator().manual_seed(4)
        weight = torch.randn(expected.shape, generator=random).bfloat16()
        weights = {n: torch.randn(x.shape, generator=random) for n, x in after.items()}
        loss = (expected * weight).sum() + sum((after[n] * x).sum() for n, x in weights.items())
        loss.backward()
        cotangents = [weight, *weights.values()]
        wanted = (True,) * len(exact)
        made, about = self.run_on_gpu(
            op, tensors, states, asked=wanted, cotangents=cotangents
        )
        self.assertEqual((about["pass"], about["device"]["type"]), ("backward", "cuda"))
        for (n, x), grad in zip(exact.items(), made, strict=True):
            self.assertEqual(grad.dtype, torch.bfloat16 if n in tensors and x.dim() > 2
                             else torch.float32)
            self.assert_close(grad.float(), x.grad, limit, f"gradient of {n}")

    def test_gradients(self):
        self.check_gradients("gla")

    def test_gradients_of_params(self):
        self.check_gradients("gated_delta_net")

    def test_gradients_of_shared_heads(self):
        self.check_gradients("gla", groups=("q", "k"))

    def test_gradients_of_packed_sequences_with_gaps(self):
        """Sums over heads keep to the tokens of sequences, too."""
        op = lathe.torch.op("gla")
        tensors, _ = self.draw(op, 20, batch=1)
        tensors["k"] = tensors["k"][:, :, :1].contiguous()
        starts = torch.tensor([2, 9, 9, 17], dtype=torch.int32)
        weight = torch.randn(tensors["v"].shape).bfloat16()
        made, _ = self.run_on_gpu(
            op, tensors, {}, starts, (True,) * 4 + (False,), [weight, None]
        )
        for begin, end in ((2, 9), (9, 17)):
            exact = required({name: x[:, begin:end].double() for name, x in tensors.items()})
            spread = exact | {"k": exact["k"].expand(-1, -1, 2, -1)}
            zero = torch.zeros(1, 2, 32, 32, dtype=torch.double)
            expected, _ = recurrences.gla(**spread, S=zero)
            (expected * weight[:, begin:end]).sum().backward()
            for (name, x), grad in zip(exact.items(), made, strict=True):
                self.assert_close(grad[:, begin:end].float(), x.grad, 2e-2, f"gradient of {name}")
        for grad in made:
            self.assertTrue(grad[:, :2].isnan().all() and grad[:, 17:].isnan().all())

    def test_a_pass_that_is_missing(self):
        op = lathe.torch.op("gla")
        tensors, _ = draw(op)
        given = [*tensors.values(), None, torch.zeros(2, 9, 2, 4), None]
        passes = {"cpu": ("forward", "backward", "step"), "cuda": ("forward", "step")}
        with mock.patch.object(op.variant, "passes", passes):
            self.assert_refused(
                lathe.UnsupportedError,
                "gla has no backward pass on GPU 0, but: forward, step; the CPU has forward, "
                "backward, step",
                op._operators.calls._bind,
                _abi.BACKWARD,
                given,
                None,
                (None,),
                (True,) * 5,
            )

    def test_mixed_devices(self):
        op = lathe.torch.op("gla")
        tensors, states = draw(op)
        with mock.patch.object(
            _torch_calls,
            "_layout",
            lambda name, x: (layout_of if name.endswith("initial S") else on_gpu)(name, x),
        ):
            self.assert_refused(
                lathe.ArgumentError,
                "gla: initial S is on the CPU, q on GPU 0; all must be on one device",
                op._operators.calls._bind,
                _abi.FORWARD,
                [*tensors.values(), states["S"]],
                None,
                (None,),
                False,
            )


if __name__ == "__main__":
    unittest.main()
