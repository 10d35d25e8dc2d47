"""What PyTorch asks of an operator: opcheck, torch.compile without graph breaks, export."""

import sysconfig
import pathlib
import shutil
import unittest

from torch_support import Case, draw, required, torch

import lathe
import lathe.torch

HAS_INDUCTOR = (
    shutil.which("g++") and pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file()
)


class OpCheck(Case):
    def check(self, name, **named):
        op = lathe.torch.op(name)
        tensors, states = draw(op)
        operators = op._operators
        rest = [None] * len(op.variant.constants)
        for final in (False, True):
            for initial in (True, False):
                given = [*required(tensors).values()]
                given += required(states).values() if initial else [None] * len(states)
                given += [None] * (len(operators.states) - len(states) if initial else 0)
                given = given[: len(tensors) + len(operators.states)]
                given += [None] * (len(tensors) + len(operators.states) - len(given))
                torch.library.opcheck(op.overload, (*given, None, *rest, final))

    def test_gla(self):
        self.check("gla")

    def test_params(self):
        self.check("mamba2")

    def test_several_states(self):
        self.check("linear_attention")

    def test_packed_sequences(self):
        op = lathe.torch.op("gla")
        tensors, _ = draw(op, batch=1)
        starts = torch.tensor([0, 4, 9], dtype=torch.int32)
        torch.library.opcheck(op.overload, (*required(tensors).values(), None, starts, 0.5, True))

    def test_backward(self):
        op = lathe.torch.op("gla")
        tensors, states = draw(op)
        o, last = op(**tensors, output_final_state=True)
        torch.library.opcheck(
            op._operators.backward_overload,
            (*tensors.values(), states["S"], None, None, o, last, [True, False, True, True, True]),
        )


class Compiled(Case):
    def setUp(self):
        torch._dynamo.reset()
        self.op = lathe.torch.op("gla")

    def layer(self, q, k, v, g, state):
        o, last = self.op(
            q, k, v, torch.nn.functional.logsigmoid(g), initial_state=state, output_final_state=True
        )
        return torch.relu(o) + 1, last

    def check(self, backend, dynamic=None):
        tensors, states = draw(self.op)
        compiled = torch.compile(self.layer, fullgraph=True, backend=backend, dynamic=dynamic)
        for tokens in (9, 5, 6):
            given = [x[:, :tokens] for x in tensors.values()]
            own, others = ([x.detach().clone().requires_grad_() for x in given] for _ in range(2))
            state, other = (states["S"].clone().requires_grad_() for _ in range(2))
            for layer, values, first in ((self.layer, own, state), (compiled, others, other)):
                o, last = layer(*values, first)
                (o.square().sum() + last.sum()).backward()
            for mine, theirs in zip([*own, state], [*others, other], strict=True):
                self.assert_close(theirs.grad, mine.grad, 1e-6)

    def test_one_graph(self):
        self.check("aot_eager")

    def test_any_length(self):
        self.check("aot_eager", dynamic=True)

    @unittest.skipUnless(HAS_INDUCTOR, "inductor needs g++ and Python's headers")
    def test_inductor(self):
        self.check("inductor")

    def test_all_that_a_call_may_say(self):
        op = lathe.torch.op("linear_attention")
        gla = self.op

        def layer(tensors, states, q, g, starts):
            with torch.autocast("cpu", torch.bfloat16):
                o, last = op(**tensors, initial_state=states, output_final_state=True)
                packed, _ = gla(q, q, v=q, g=g, cu_seqlens=starts, scale=0.5)
            return o.float(), last["S"], last["z"], packed

        tensors, states = draw(op)
        q = torch.randn(1, 9, 2, 6)
        arguments = (tensors, states, q, -q.abs(), torch.tensor([0, 4, 9]))
        compiled = torch.compile(layer, fullgraph=True, backend="eager")
        for found, expected in zip(compiled(*arguments), layer(*arguments), strict=True):
            self.assertTrue(torch.equal(found, expected))

    def test_export(self):
        class Layer(torch.nn.Module):
            def __init__(self, op):
                super().__init__()
                self.op = op

            def forward(self, q, k, v, g):
                return self.op(q, k, v, g)[0]

        tensors, _ = draw(self.op)
        arrays = tuple(tensors.values())
        program = torch.export.export(Layer(self.op), arrays)
        self.assertTrue(torch.equal(program.module()(*arrays), self.op(*arrays)[0]))


if __name__ == "__main__":
    unittest.main()
