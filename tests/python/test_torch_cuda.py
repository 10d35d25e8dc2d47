"""lathe.torch on a GPU: results, gradients, graphs, streams, PyTorch's compiler. Skipped where
there is none; tests/python/test_cuda.py runs the same kernels on the emulator."""

import sys
import unittest
from unittest import mock

from torch_support import Case, draw, recurrences, required, torch

import lathe
import lathe.torch

if not torch.cuda.is_available():
    print("SKIPPED: there is no GPU that PyTorch sees")
    sys.exit(77)

SIZES = {"K": 64, "V": 32}


def cuda(values):
    return {name: x.cuda() for name, x in values.items()}


class Cuda(Case):
    def setUp(self):
        self.op = lathe.torch.op("gla")
        tensors, states = self.draw(self.op)
        self.tensors, self.state = cuda(tensors), states["S"].cuda()

    def draw(self, op, tokens=100, dtype=torch.bfloat16, **named):
        with mock.patch("torch_support.SIZES", SIZES):
            tensors, states = draw(op, tokens=tokens, dtype=dtype, **named)
        # So long a sequence would amplify the rounding of keys that are not of length one.
        params = set(op.variant.params)
        return {n: x.float() if n in params else x for n, x in tensors.items()}, states

    def check(self, name, dtype, limit, tokens=100):
        """Outputs, states and gradients against a loop in float64."""
        op = lathe.torch.op(name)
        tensors, states = self.draw(op, tokens, dtype)
        given, first = required(cuda(tensors)), required(cuda(states))
        exact = {n: x.detach().cpu().double() for n, x in {**given, **first}.items()}
        exact = required(exact)
        o, last = op(
            **given,
            initial_state=first if len(first) > 1 else next(iter(first.values())),
            output_final_state=True,
        )
        last = last if isinstance(last, dict) else dict(zip(first, [last]))
        ideal, after = getattr(recurrences, name)(**exact)
        self.assert_close(o.detach().float().cpu(), ideal.detach(), limit, "o")
        torch.manual_seed(1)
        weight = torch.randn(ideal.shape)
        weights = {n: torch.randn(x.shape) for n, x in after.items()}
        for state, value in after.items():
            self.assert_close(last[state].detach().cpu(), value.detach(), limit, state)
        loss = (o * weight.cuda()).sum() + sum(
            (last[n] * w.cuda()).sum() for n, w in weights.items()
        )
        loss.backward()
        ((ideal * weight).sum() + sum((after[n] * w).sum() for n, w in weights.items())).backward()
        for n, x in {**given, **first}.items():
            self.assertEqual(x.grad.dtype, x.dtype)
            self.assert_close(x.grad.float().cpu(), exact[n].grad, 2 * limit, f"gradient of {n}")

    def test_results_in_bf16(self):
        for name in ("gla", "retnet", "mamba2", "gated_delta_net", "linear_attention"):
            with self.subTest(name):
                self.check(name, torch.bfloat16, 2e-2)

    def test_results_in_f32(self):
        for name in ("gla", "gated_delta_net"):
            with self.subTest(name):
                self.check(name, torch.float32, 2e-3)

    def test_one_token(self):
        self.check_forward(1)
        self.check_forward(7)

    def check_forward(self, tokens):
        own = {n: x[:, :tokens].detach() for n, x in self.tensors.items()}
        o, last = self.op(**own, initial_state=self.state, output_final_state=True)
        exact = {n: x.double().cpu() for n, x in own.items()}
        ideal, after = recurrences.gla(**exact, S=self.state.double().cpu())
        self.assert_close(o.float().cpu(), ideal, 1e-2)
        self.assert_close(last.cpu(), after["S"], 1e-2)

    def test_the_same_bits(self):
        results = []
        for _ in range(3):
            given = required(self.tensors)
            o, _ = self.op(**given, initial_state=self.state)
            o.float().square().sum().backward()
            results.append([o.detach(), *(x.grad for x in given.values())])
        for one, two, three in zip(*results):
            self.assertTrue(torch.equal(one, two) and torch.equal(one, three))

    def test_packed_sequences_with_gaps(self):
        starts = torch.tensor([2, 40, 40, 90], dtype=torch.int32, device="cuda")
        packed = required({n: x[:1] for n, x in self.tensors.items()})
        o, last = self.op(**packed, cu_seqlens=starts, output_final_state=True)
        self.assertEqual(last.shape[0], 3)
        self.assertFalse(o[:, :2].any() or o[:, 90:].any())
        alone, _ = self.op(**{n: x[:, 40:90].detach() for n, x in packed.items()})
        self.assert_close(o[:, 40:90].detach().float().cpu(), alone.float().cpu(), 1e-2)
        o.float().square().sum().backward()
        for x in packed.values():
            self.assertTrue(x.grad.isfinite().all())
            self.assertFalse(x.grad[:, :2].any() or x.grad[:, 90:].any())

    def test_a_graph(self):
        """Captured once, forward and backward, replayed with other values."""
        still = required(self.tensors)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())

        def run():
            o, last = self.op(**still, initial_state=self.state, output_final_state=True)
            grads = torch.autograd.grad(o.float().sum() + last.sum(), list(still.values()))
            return o.detach(), last.detach(), *grads

        with torch.cuda.stream(side):
            run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = run()
        for seed in (5, 6):
            tensors, _ = self.draw(self.op, seed=seed)
            with torch.no_grad():
                for name, x in still.items():
                    x.copy_(tensors[name])
            graph.replay()
            torch.cuda.synchronize()
            for one, other in zip(captured, run()):
                self.assertTrue(torch.equal(one, other))

    def test_streams(self):
        expected = self.op(**self.tensors)[0]
        streams = [torch.cuda.Stream() for _ in range(4)]
        results = []
        for stream in streams:
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                results.append(self.op(**self.tensors)[0])
        torch.cuda.synchronize()
        for o in results:
            self.assertTrue(torch.equal(o, expected))

    def test_compiled(self):
        def step(x):
            o, last = self.op(**x, output_final_state=True)
            return o * 2, last.sum()

        for backend in ("aot_eager", "inductor"):
            compiled = torch.compile(step, fullgraph=True, backend=backend)
            results = []
            for function in (compiled, step):
                given = required(self.tensors)
                o, total = function(given)
                (o.float().sum() + total).backward()
                results.append([o.detach(), *(x.grad for x in given.values())])
            for one, other in zip(*results):
                self.assert_close(one.float().cpu(), other.float().cpu(), 1e-2, backend)

    def test_checks_of_operators(self):
        given = [x.requires_grad_() for x in self.tensors.values()]
        arguments = (*given, self.state.requires_grad_(), None, 0.5, True)
        torch.library.opcheck(self.op.overload, arguments)

    def test_autocast(self):
        given = {n: x.float() for n, x in self.tensors.items()}
        with torch.autocast("cuda", torch.bfloat16):
            o, _ = self.op(**given)
        self.assertEqual(o.dtype, torch.bfloat16)

    def test_mixed_devices(self):
        self.assert_refused(
            lathe.ArgumentError,
            "gla: k is on cpu; q is on cuda:0; all must be on one device",
            lambda: self.op(**self.tensors | {"k": self.tensors["k"].cpu()}),
        )

    def test_a_fork_goes_on_with_the_cpu(self):
        import os

        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            own = {n: x.new_zeros(x.shape, device="cpu") for n, x in CPU.items()}
            o = self.op(**own)[0]
            os.write(writer, b"%d" % int(o.abs().sum().item() == 0))
            os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual(os.read(reader, 8), b"1")


CPU = dict(zip("qkvg", (torch.zeros(1, 3, 1, n) for n in (4, 4, 4, 4))))


if __name__ == "__main__":
    unittest.main()
