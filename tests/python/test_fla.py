"""lathe.compat.fla: the cases of flash-linear-attention, against loops in float64.

Small ones on the CPU, unless LATHE_FLA_DEVICE names a GPU, which takes all as they are; with
LATHE_FLA_PART=1/4 only every fourth, with LATHE_FLA_REPORT=FILE their errors go there.
"""

import inspect
import json
import os
import pathlib
import unittest
import warnings
from unittest import mock

import fla_cases
from fla_reference import expected, norm
from torch_support import Case, torch

import lathe
from lathe.compat import _call, fla

DEVICE = os.environ.get("LATHE_FLA_DEVICE", "cpu")
REPORT = os.environ.get("LATHE_FLA_REPORT")  # a file for the errors of all cases
PART, PARTS = (int(x) for x in os.environ.get("LATHE_FLA_PART", "0/1").split("/"))


class Cases(Case):
    """Each compares outputs and states; those with gradients the gradients of all that goes in, of
    a loss of both with random weights."""

    errors = {}

    @classmethod
    def tearDownClass(cls):
        if REPORT:
            pathlib.Path(REPORT).write_text(json.dumps(cls.errors))

    def tearDown(self):
        if DEVICE != "cpu":
            torch.cuda.empty_cache()

    def check(self, case):
        given, state = fla_cases.draw(case, DEVICE)
        options = dict(case.options)
        starts = None
        if case.starts:
            starts = torch.tensor(case.starts, dtype=torch.int32, device=DEVICE)
        v_first = options.get("state_v_first", False)
        turned = state.transpose(-1, -2).contiguous() if v_first else state
        given = {n: x.requires_grad_(case.has_gradients) for n, x in given.items()}
        turned.requires_grad_(case.has_gradients)
        function = getattr(fla, case.function)
        o, last = function(
            **given, **options, initial_state=turned, output_final_state=True, cu_seqlens=starts
        )
        exact = {
            n: x.detach().double().requires_grad_(case.has_gradients) for n, x in given.items()
        }
        first = state.detach().double().requires_grad_(case.has_gradients)
        options["scale"] = options.get("scale", default_scale(function))
        ideal, after = expected(case.family, options, exact, first, case.starts or None)
        self.assertEqual((o.dtype, last.dtype), (case.dtype, torch.float32))
        self.close(case, "o", o, ideal)
        self.close(case, "ht", last.transpose(-1, -2) if v_first else last, after)
        if not case.has_gradients:
            return
        weights = [torch.randn(x.shape, device=DEVICE).to(x.dtype) for x in (o, last)]
        ((o * weights[0]).sum() + (last * weights[1]).sum()).backward()
        back = weights[1].double().transpose(-1, -2) if v_first else weights[1]
        ((ideal * weights[0]).sum() + (after * back).sum()).backward()
        for name, x in given.items():
            self.assertEqual(x.grad.dtype, x.dtype)
            self.close(case, name, x.grad, exact[name].grad, "the gradient of ")
        grad = turned.grad.transpose(-1, -2) if v_first else turned.grad
        self.close(case, "h0", grad, first.grad, "the gradient of ")

    def close(self, case, name, found, ideal, what=""):
        """The measure of those tests: the RMS of the difference over that of what is expected."""
        self.assertEqual(found.shape, ideal.shape, name)
        error = (found.detach().double() - ideal.detach()).square().mean().sqrt().item()
        error /= ideal.detach().square().mean().sqrt().item() + 1e-8
        limit = case.limits.get(name, case.limits[""])
        self.errors.setdefault(str(case), {})[name] = (error, limit)
        self.assertLess(error, limit, f"{case}: {what}{name}")


def default_scale(function):
    found = inspect.signature(function).parameters["scale"].default
    return found


def add_case(number, case):
    name = f"test_{number:03}_{case.function}"

    def test(self):
        self.check(case if DEVICE != "cpu" else case.small())

    test.__doc__ = str(case)
    setattr(Cases, name, test)


for each, found in enumerate(fla_cases.all_cases()):
    if each % PARTS == PART:
        add_case(each, found)


class Wrappers(Case):
    """Operators that are others with decays or normalisers of their own."""

    def assert_close(self, found, expected, limit=2e-6, what=""):
        """Products of a GPU are those of tf32."""
        super().assert_close(found, expected, limit if DEVICE == "cpu" else 1e-3, what)

    def setUp(self):
        torch.manual_seed(3)
        self.q, self.k, self.v = (torch.rand(2, 20, 4, 8, device=DEVICE) for _ in range(3))
        self.state = torch.randn(2, 4, 8, 8, device=DEVICE)

    def check(self, found, gamma, scale=None):
        exact = {n: x.double() for n, x in zip("qkv", (self.q, self.k, self.v))}
        exact["g_gamma"] = gamma.to(DEVICE).double()
        o, after = expected("simple_gla", {"scale": scale}, exact, self.state.double())
        self.assert_close(found[0].cpu(), o.cpu(), 3e-5)
        self.assert_close(found[1].cpu(), after.cpu(), 3e-5)

    def test_retention(self):
        gamma = torch.tensor([1 - 2 ** (-5 - head) for head in range(4)]).log()
        for function in (fla.chunk_retention, fla.fused_recurrent_retention):
            found = function(self.q, self.k, self.v, 0.5, self.state, output_final_state=True)
            self.check(found, gamma, 0.5)

    def test_lightning(self):
        gamma = torch.tensor([-8 / 4 * (1 - 3 / 12) * head for head in range(4)])
        for function in (fla.chunk_lightning_attn, fla.fused_recurrent_lightning_attn):
            found = function(
                self.q, self.k, self.v, 3, 12, initial_state=self.state, output_final_state=True
            )
            self.check(found, gamma)

    def test_linear(self):
        for function in (fla.chunk_linear_attn, fla.fused_recurrent_linear_attn):
            found = function(
                self.q, self.k, self.v, None, self.state, output_final_state=True, normalize=False
            )
            self.check(found, torch.zeros(4))

    def test_linear_normalised(self):
        q, k, v = (x.double() for x in (self.q, self.k, self.v))
        z = torch.rand(2, 1, 4, 8, device=DEVICE)
        sums = k.cumsum(1) + z
        exact = {"q": q, "k": k, "v": v}
        raw, after = expected("simple_gla", {"scale": 0.3}, exact, self.state.double().clone())
        ideal = raw / ((0.3 * q * sums).sum(-1, keepdim=True) + 1e-10)
        o, last = fla.chunk_linear_attn(
            self.q, self.k, self.v, 0.3, (self.state, z), output_final_state=True
        )
        self.assert_close(o.cpu(), ideal.cpu(), 1e-5)
        self.assert_close(last[0].cpu(), after.cpu(), 1e-5)
        self.assertEqual((last[1].shape, last[1].dtype), (z.shape, z.dtype))
        self.assert_close(last[1].cpu(), sums[:, -1:].cpu(), 1e-5)
        o, last = fla.fused_recurrent_linear_attn(self.q, self.k, self.v, normalize=True)
        self.assertIsNone(last[0])
        self.assert_close(last[1].cpu(), k.sum(1, keepdim=True).cpu(), 1e-5)
        o, last = fla.fused_recurrent_linear_attn(self.q, self.k, self.v)
        self.assertIsNone(last)

    def test_reverse(self):
        g = -torch.rand(2, 20, 4, 8, device=DEVICE)
        tensors = (self.q, self.k, self.v, g)
        o, last = fla.fused_recurrent_gla(
            *tensors, initial_state=self.state, output_final_state=True, reverse=True
        )
        turned = [x.flip(1) for x in tensors]
        other = fla.fused_recurrent_gla(*turned, initial_state=self.state, output_final_state=True)
        self.assert_close(o.cpu(), other[0].flip(1).cpu(), 2e-5)
        self.assert_close(last.cpu(), other[1].cpu(), 2e-5)

    def test_decays_of_both_sides(self):
        g, gk, gv = (-torch.rand(2, 20, 4, *size, device=DEVICE) for size in ((), (8,), (8,)))
        beta = torch.rand(2, 20, 4, 8, device=DEVICE)
        found = fla.fused_recurrent_gla(self.q, self.k, self.v, gk, gv, output_final_state=True)
        exact = {
            n: x.double()
            for n, x in zip(("q", "k", "v", "gk", "gv"), (self.q, self.k, self.v, gk, gv))
        }
        ideal = expected("gla", {}, exact, None)
        self.assert_close(found[0].cpu(), ideal[0].cpu(), 1e-5)
        exact |= {"g": g.double(), "beta": beta.double(), "k": norm(self.k.double())}
        exact["q"] = norm(self.q.double())
        found = fla.fused_recurrent_gdn(
            self.q, self.k, self.v, g, gk, gv, beta, use_qk_l2norm_in_kernel=True,
            output_final_state=True,
        )  # fmt: skip
        ideal = expected("gated_delta_rule", {}, exact, None)
        self.assert_close(found[0].cpu(), ideal[0].cpu(), 1e-5)
        self.assert_close(found[1].cpu(), ideal[1].cpu(), 1e-5)

    def test_bounds_of_gates(self):
        """A lower bound counts where the gate is made in the kernel, and nowhere else."""
        g = torch.randn(2, 20, 4, 8, device=DEVICE)
        beta, A_log = torch.rand(2, 20, 4, device=DEVICE), torch.rand(4, device=DEVICE)
        given = {"q": self.q, "k": norm(self.k), "v": self.v, "g": g, "beta": beta}
        for options in ({"use_gate_in_kernel": True, "A_log": A_log}, {}):
            own = given | ({} if options else {"g": -g.abs()})
            exact = {n: x.double() for n, x in own.items()}
            exact |= {"A_log": A_log.double()} if options else {}
            gated = {"use_gate_in_kernel": bool(options), "lower_bound": -1.5}
            ideal, _ = expected("kda", gated, exact, None)
            o, _ = fla.chunk_kda(**own, **options, lower_bound=-1.5)
            self.assert_close(o.cpu(), ideal.cpu(), 1e-5)

    def test_without_a_rate(self):
        k = norm(self.k)
        ones = torch.ones(2, 20, 4, device=DEVICE)
        one = fla.fused_recurrent_delta_rule(self.q, k, self.v)[0]
        self.assert_close(one.cpu(), fla.chunk_delta_rule(self.q, k, self.v, ones)[0].cpu(), 1e-5)

    def test_more_channels_than_a_kernel_takes(self):
        """They are computed in blocks; here of 3, as if this were a GPU."""
        case = next(fla_cases.gla()).small()
        given, state = fla_cases.draw(case, DEVICE)
        options = {"initial_state": state, "output_final_state": True, "state_v_first": True}
        whole = fla.fused_recurrent_gla(**given, **options)
        beta = torch.rand(given["q"].shape[:3], device=DEVICE)
        tensors = (given["q"], norm(given["k"]), given["v"], beta)
        delta = fla.chunk_delta_rule(*tensors, output_final_state=True)
        with mock.patch.object(_call, "is_wide", lambda _: True):
            with mock.patch.object(_call, "LARGEST", 3):
                parts = fla.fused_recurrent_gla(**given, **options)
                parts += fla.chunk_delta_rule(*tensors, output_final_state=True)
        for one, other in zip(parts, whole + delta, strict=True):
            self.assert_close(one.cpu(), other.cpu(), 1e-6)

    def test_no_state_unless_asked_for(self):
        g = -torch.rand(2, 20, 4, 8, device=DEVICE)
        self.assertIsNone(fla.chunk_gla(self.q, self.k, self.v, g)[1])
        with_state = fla.fused_recurrent_rwkv7(self.q, g, self.k, self.v, -self.k, self.k)
        self.assertEqual(with_state[1].shape, (2, 4, 8, 8))

    def test_states_of_half_precision(self):
        g = -torch.rand(2, 20, 4, 8, device=DEVICE)
        state = self.state.bfloat16()
        o, last = fla.chunk_gla(
            self.q, self.k, self.v, g, initial_state=state, output_final_state=True
        )
        other = fla.chunk_gla(self.q, self.k, self.v, g, initial_state=state.float())[0]
        self.assertEqual(last.dtype, torch.float32)
        self.assertTrue(torch.equal(o, other))


class Signatures(Case):
    """Every operator has its two forms, and the arguments that both must have."""

    def test_every_operator(self):
        names = [name for name in fla.__all__ if name.startswith("chunk_")]
        self.assertEqual(len(names), 11)
        for name in names:
            self.assertIn(name.replace("chunk_", "fused_recurrent_"), fla.__all__)
            for one in (name, name.replace("chunk_", "fused_recurrent_")):
                parameters = inspect.signature(getattr(fla, one)).parameters
                for each in ("scale", "initial_state", "output_final_state", "cu_seqlens"):
                    self.assertIn(each, parameters, one)

    def test_hints_make_no_difference(self):
        case = next(fla_cases.gated_delta_rule()).small()
        given, _ = fla_cases.draw(case, DEVICE)
        o, _ = fla.chunk_gdn(**given)
        other, _ = fla.chunk_gdn(**given, chunk_size=16, chunk_indices=None, cu_seqlens_cpu=None)
        self.assertTrue(torch.equal(o, other))

    def test_the_older_name_of_an_argument(self):
        case = next(fla_cases.gla()).small()
        given, _ = fla_cases.draw(case, DEVICE)
        _, one = fla.fused_recurrent_gla(**given, output_final_state=True, state_v_first=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _, two = fla.fused_recurrent_gla(
                **given, output_final_state=True, transpose_state_layout=True
            )
        self.assertTrue(torch.equal(one, two) and one.is_contiguous())
        self.assertIn("is now called state_v_first", str(caught[0].message))


class Errors(Case):
    def setUp(self):
        self.q = torch.rand(1, 4, 2, 8)
        self.beta = torch.rand(1, 4, 2)

    def test_what_is_not_computed(self):
        self.assert_refused(
            lathe.UnsupportedError,
            "chunk_kda: return_intermediate_states is True; it is not computed here, so that it "
            "must be False",
            fla.chunk_kda, self.q, self.q, self.q, -self.q, self.beta,
            return_intermediate_states=True,
        )  # fmt: skip
        self.assert_refused(
            lathe.UnsupportedError,
            "chunk_gated_delta_rule: cp_context is a object; it is not computed here, so that it "
            "must be None",
            fla.chunk_gdn, self.q, self.q, self.q, -self.beta, self.beta, cp_context=object(),
        )  # fmt: skip

    def test_arguments_that_nobody_knows(self):
        self.assert_refused(
            lathe.ArgumentError,
            "chunk_retention has no argument gamma; beside those of its signature it takes "
            "chunk_size, chunk_indices, cu_seqlens_cpu, disable_recompute, use_graph",
            fla.chunk_retention, self.q, self.q, self.q, gamma=1,
        )  # fmt: skip
        self.assert_refused(
            lathe.ArgumentError,
            "chunk_retention: head_first was given; inputs are [B, T, H, ...] and nothing else: "
            "leave it away",
            fla.chunk_retention, self.q, self.q, self.q, head_first=False,
        )  # fmt: skip

    def test_both_names_of_an_argument(self):
        self.assert_refused(
            lathe.ArgumentError,
            "both state_v_first and the older transpose_state_layout were given; give the first",
            fla.fused_recurrent_gla, self.q, self.q, self.q,
            state_v_first=True, transpose_state_layout=True,
        )  # fmt: skip

    def test_rates(self):
        self.assert_refused(
            lathe.ArgumentError,
            "chunk_kda: allow_neg_eigval is True; it doubles the sigmoid, so that "
            "use_beta_sigmoid_in_kernel must be True as well",
            fla.chunk_kda, self.q, self.q, self.q, -self.q, self.beta, allow_neg_eigval=True,
        )  # fmt: skip

    def test_gates(self):
        self.assert_refused(
            lathe.ArgumentError,
            "chunk_kda: lower_bound is None; with safe_gate and use_gate_in_kernel it must be at "
            "least -5 and below 0",
            fla.chunk_kda, self.q, self.q, self.q, self.q, self.beta,
            use_gate_in_kernel=True, safe_gate=True, A_log=torch.zeros(2),
        )  # fmt: skip
        self.assert_refused(
            lathe.ArgumentError,
            "chunk_gated_delta_rule: A_log is None; with use_gate_in_kernel and no lower_bound it "
            "must be a torch.Tensor [HV]",
            fla.chunk_gdn, self.q, self.q, self.q, self.beta, self.beta, use_gate_in_kernel=True,
        )  # fmt: skip
        self.assert_refused(
            lathe.ArgumentError,
            "fused_recurrent_gated_delta_rule: g is None; with use_gate_in_kernel it must be what "
            "the gate is made of",
            fla.fused_recurrent_gdn, self.q, self.q, self.q, use_gate_in_kernel=True,
            A_log=torch.zeros(2),
        )  # fmt: skip

    def test_states(self):
        self.assert_refused(
            lathe.ArgumentError,
            "gla: initial_state is a list; it must be a torch.Tensor or None",
            fla.chunk_gla, self.q, self.q, self.q, -self.q, initial_state=[],
        )  # fmt: skip

    def test_packed_sequences(self):
        """The operators' own rules, which those of any variant are."""
        starts = torch.tensor([0, 2, 4])
        with self.assertRaises(ValueError):
            fla.chunk_gla(*[self.q.expand(2, -1, -1, -1)] * 3, -self.q, cu_seqlens=starts)
        with self.assertRaises(ValueError):
            fla.chunk_gla(
                self.q, self.q, self.q, -self.q, cu_seqlens=starts,
                initial_state=torch.zeros(1, 2, 8, 8),
            )  # fmt: skip


class Compiled(Case):
    def test_no_graph_breaks(self):
        """Two equations in one graph, with the gradients of both."""
        case = next(fla_cases.kda()).small()
        given, state = fla_cases.draw(case, DEVICE)

        def step(x, state):
            o, last = fla.chunk_kda(
                **x, initial_state=state, output_final_state=True, use_qk_l2norm_in_kernel=True
            )
            return fla.chunk_gla(x["q"], x["k"], o, x["g"])[0], last

        compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
        results = []
        for function in (compiled, step):
            own = {n: x.clone().requires_grad_() for n, x in given.items()}
            o, last = function(own, state)
            (o.sum() + last.sum()).backward()
            results.append([o, last, *(x.grad for x in own.values())])
        for one, two in zip(*results, strict=True):
            self.assertTrue(torch.equal(one, two))


if __name__ == "__main__":
    unittest.main()
