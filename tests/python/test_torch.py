"""lathe.torch on the CPU: results, gradients, what a caller may do with an operator."""

import copy
import pickle
import threading
import unittest

from support import ROOT
from torch_support import Case, draw, recurrences, required, torch

import lathe
import lathe.torch

LOOPS = ("gla", "retnet", "mamba2", "gated_delta_net", "linear_attention", "mlstm")


class Gradients(Case):
    """Of every input, param and initial state, against autograd through a loop in float64."""


def add_case(name):
    def test(self):
        op = lathe.torch.op(name)
        self.check_gradients(op, *draw(op))

    setattr(Gradients, f"test_{name}", test)


for each in LOOPS:
    add_case(each)


class Directions(Case):
    """Of every variant of the library, along one direction of each that goes in."""


def add_direction(name):
    setattr(Directions, f"test_{name}", lambda self: self.check_directions(lathe.torch.op(name)))


for path in (ROOT / "variants").glob("*.lathe"):
    add_direction(path.stem)


class Calls(Case):
    def setUp(self):
        self.op = lathe.torch.op("gla")
        tensors, states = draw(self.op)
        self.arrays, self.state = tuple(tensors.values()), states["S"]

    def test_what_comes_back(self):
        o, state = self.op(*self.arrays)
        self.assertIsNone(state)
        self.assertEqual((o.shape, o.dtype), ((2, 9, 2, 4), torch.float32))
        o, state = self.op(*self.arrays, output_final_state=True)
        self.assertEqual((state.shape, state.dtype), ((2, 2, 6, 4), torch.float32))
        self.assertFalse(o.requires_grad or state.requires_grad)

    def test_several_states_go_by_name(self):
        op = lathe.torch.op("linear_attention")
        tensors, states = draw(op)
        _, last = op(**tensors, initial_state=states, output_final_state=True)
        self.assertEqual(sorted(last), ["S", "z"])
        with_one, _ = op(**tensors, initial_state={"z": states["z"]})
        zero = {"S": torch.zeros_like(states["S"]), "z": states["z"]}
        torch.testing.assert_close(with_one, op(**tensors, initial_state=zero)[0], rtol=0, atol=0)

    def test_scaled_states_go_on(self):
        """What is between two calls is scaled; the gradients are those of one call."""
        op = lathe.torch.op("mlstm")
        tensors, states = draw(op, tokens=12)
        tensors["i"] *= 30  # No exponential of these fits into float32.
        whole, parts = required(tensors), required(tensors)
        first, other = required(states), required(states)
        o, _ = op(**whole, initial_state=first)
        state, pieces = other, []
        for part in (slice(0, 5), slice(5, 12)):
            own = {name: x[:, part] for name, x in parts.items()}
            piece, state = op(**own, initial_state=state, output_final_state=True)
            pieces.append(piece)
        self.assertFalse(state["C.log_scale"].requires_grad)
        joined = torch.cat(pieces, 1)
        self.assert_close(joined.detach(), o.detach(), 1e-5)
        o.square().sum().backward()
        joined.square().sum().backward()
        for given, others in ((whole, parts), (first, other)):
            for name, value in given.items():
                self.assertTrue(value.grad.isfinite().all())
                self.assert_close(others[name].grad, value.grad, 1e-4, name)

    def test_consts_are_given_by_name(self):
        tensors = dict(zip("qkvg", self.arrays))
        self.check_gradients(self.op, tensors, {"S": self.state}, scale=0.75)

    def test_an_own_equation(self):
        text = self.op.variant.text.replace("variant gla", "variant mine")
        mine = lathe.torch.op(lathe.compile(text))
        torch.testing.assert_close(mine(*self.arrays)[0], self.op(*self.arrays)[0], rtol=0, atol=0)
        self.assertIs(lathe.torch.op(lathe.compile(text)).overload, mine.overload)
        self.assertIsNot(mine.overload, self.op.overload)

    def test_a_part_of_the_gradients(self):
        q, k, v, g = self.arrays
        k = k.clone().requires_grad_()
        everything = required(dict(zip("qkvg", self.arrays)))
        self.op(q, k, v, g)[0].square().sum().backward()
        self.op(**everything)[0].square().sum().backward()
        torch.testing.assert_close(k.grad, everything["k"].grad, rtol=0, atol=0)

    def test_gradients_through_the_state_alone(self):
        tensors = required(dict(zip("qkvg", self.arrays)))
        state = self.state.clone().requires_grad_()
        _, last = self.op(**tensors, initial_state=state, output_final_state=True)
        last.sum().backward()
        exact = required({n: t.detach().double() for n, t in tensors.items()})
        first = self.state.double().requires_grad_()
        recurrences.gla(**exact, S=first)[1]["S"].sum().backward()
        self.assert_close(state.grad, first.grad)
        self.assert_close(tensors["k"].grad, exact["k"].grad)
        self.assertFalse(tensors["q"].grad.any())

    def test_strides_as_they_are(self):
        expected = self.op(*self.arrays)[0]
        heads_first = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in self.arrays]
        self.assertFalse(heads_first[0].is_contiguous())
        self.assertTrue(torch.equal(self.op(*heads_first)[0], expected))
        keys_last = [x.transpose(1, 3).contiguous().transpose(1, 3) for x in self.arrays]
        self.assertTrue(torch.equal(self.op(*keys_last)[0], expected))
        self.check_gradients(
            self.op, {n: x.detach() for n, x in zip("qkvg", keys_last)}, {"S": self.state}
        )

    def test_gradients_that_come_back_expanded(self):
        tensors = required(dict(zip("qkvg", self.arrays)))
        self.op(**tensors)[0].sum().backward()
        weights = torch.ones(2, 9, 2, 4)
        others = required(dict(zip("qkvg", self.arrays)))
        (self.op(**others)[0] * weights).sum().backward()
        for name in tensors:
            self.assertTrue(torch.equal(tensors[name].grad, others[name].grad))

    def test_fewer_heads(self):
        q, k, v, g = self.arrays
        q = q[:, :, :1].clone().requires_grad_()
        double = q.detach().expand(2, 9, 2, 6).clone().requires_grad_()
        o, wide = self.op(q, k, v, g)[0], self.op(double, k, v, g)[0]
        self.assertTrue(torch.equal(o, wide))
        o.square().sum().backward()
        wide.square().sum().backward()
        self.assert_close(q.grad, double.grad.sum(2, keepdim=True), 1e-6)

    def test_packed_sequences(self):
        for dtype in (torch.int32, torch.int64):
            starts = torch.tensor([0, 4, 4, 9], dtype=dtype)
            tensors = required({n: x[:1] for n, x in zip("qkvg", self.arrays)})
            exact = required({n: x.detach().double() for n, x in tensors.items()})
            state = torch.randn(3, 2, 6, 4).requires_grad_()
            first = state.detach().double().requires_grad_()
            o, last = self.op(
                **tensors, initial_state=state, output_final_state=True, cu_seqlens=starts
            )
            (o.square().sum() + last.square().sum()).backward()
            total = 0
            for n, (begin, end) in enumerate(zip(starts[:-1], starts[1:])):
                if begin == end:
                    self.assertTrue(torch.equal(last[n], state[n]))
                    total = total + first[n].square().sum()
                    continue
                own = {name: x[:, begin:end] for name, x in exact.items()}
                expected, after = recurrences.gla(**own, S=first[n : n + 1])
                self.assert_close(o[:, begin:end].detach(), expected.detach())
                self.assert_close(last[n : n + 1].detach(), after["S"].detach())
                total = total + expected.square().sum() + after["S"].square().sum()
            total.backward()
            for name, value in tensors.items():
                self.assert_close(value.grad, exact[name].grad, 2e-5, name)
            self.assert_close(state.grad, first.grad, 2e-5)

    def test_half_precision(self):
        for dtype, limit in ((torch.bfloat16, 1.5e-2), (torch.float16, 2e-3)):
            tensors, states = draw(self.op, dtype=dtype)
            self.assertEqual(self.op(**tensors)[0].dtype, dtype)
            self.check_gradients(self.op, tensors, states, limit)

    def test_params_of_another_dtype(self):
        op = lathe.torch.op("mamba2")
        tensors, states = draw(op)
        for name in op.variant.inputs:
            tensors[name] = tensors[name].bfloat16()
        tensors["D"] = tensors["D"].half()
        self.check_gradients(op, tensors, states, 1.5e-2)

    def test_autocast(self):
        q, k, v, g = self.arrays
        with torch.autocast("cpu", torch.bfloat16):
            o, state = self.op(q, k, v, g, initial_state=self.state, output_final_state=True)
        self.assertEqual((o.dtype, state.dtype), (torch.bfloat16, torch.float32))
        half = [x.bfloat16() for x in (q, k, v)]
        expected = self.op(*half, g, initial_state=self.state)[0]
        self.assertTrue(torch.equal(o, expected))
        leaf = q.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            o = self.op(leaf, k, v, g)[0]
        o.float().sum().backward()
        self.assertEqual(leaf.grad.dtype, torch.float32)

    def test_number_of_threads(self):
        expected, threads = self.op(*self.arrays)[0], torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            self.assertTrue(torch.equal(self.op(*self.arrays)[0], expected))
        finally:
            torch.set_num_threads(threads)

    def test_the_same_bits_every_time(self):
        def run():
            tensors = required(dict(zip("qkvg", self.arrays)))
            o = self.op(**tensors)[0]
            o.square().sum().backward()
            return [o.detach(), *(x.grad for x in tensors.values())]

        for first, again in zip(run(), run()):
            self.assertTrue(torch.equal(first, again))

    def test_threads(self):
        def work(seed, results):
            for tokens in range(1, 12):
                tensors, states = draw(self.op, tokens=tokens, seed=seed)
                tensors = required(tensors)
                o, _ = self.op(**tensors, initial_state=states["S"])
                o.square().sum().backward()
                results.append((o.detach(), tensors["g"].grad))

        alone, together = [[], []], [[], []]
        for seed in range(2):
            work(seed, alone[seed])
        threads = [threading.Thread(target=work, args=(seed, together[seed])) for seed in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for seed in range(2):
            for (o, g), (other, other_g) in zip(alone[seed], together[seed], strict=True):
                self.assertTrue(torch.equal(o, other) and torch.equal(g, other_g))

    def test_modules_that_hold_one(self):
        module = torch.nn.Linear(2, 2)
        module.op = self.op
        self.assertIs(copy.deepcopy(module).op, self.op)
        again = pickle.loads(pickle.dumps(module)).op
        self.assertTrue(torch.equal(again(*self.arrays)[0], self.op(*self.arrays)[0]))
        self.assertIs(again.overload, self.op.overload)

    def test_numpy_and_torch_agree(self):
        o = lathe.load("gla")(*(x.numpy() for x in self.arrays))[0]
        self.assertTrue(torch.equal(torch.from_numpy(o), self.op(*self.arrays)[0]))
        through_dlpack = lathe.load("gla")(*self.arrays)[0]
        self.assertTrue(torch.equal(torch.from_numpy(through_dlpack), self.op(*self.arrays)[0]))


if __name__ == "__main__":
    unittest.main()
