"""The formulas that explain prints compute what they say: the chunk form is the normal form, and
the gradient is that of central differences."""

import json
import unittest

import numpy as np
from cli import ROOT, Case
from evaluate import Formulas, Named

TOKENS = 4
# taylor2 and its gradient are not written out in formulas.
NAMES = sorted(path.stem for path in (ROOT / "variants").glob("*.lathe") if path.stem != "based")


class Call:
    """Random tensors for a variant, and the values of its formulas."""

    def __init__(self, plan, formulas):
        self.formulas = formulas
        self.operands = {one["name"]: one for one in plan["operands"]}
        self.sizes = dict(zip(plan["dims"], (2, 3, 4, 5)))
        self.random = np.random.default_rng(len(plan["nodes"]))
        self.arrays = {}
        for name, operand in self.operands.items():
            if operand["kind"] == "constant":
                continue
            shape = [self.sizes[dim] for dim in operand["dims"]]
            if operand["kind"] in ("input", "output"):
                shape = [TOKENS, *shape]
            array = self.random.standard_normal(shape)
            if operand.get("log"):
                array = -np.abs(array)
            elif operand["kind"] == "state" and len(shape) < 2:
                array = 1 + np.abs(array)  # A normaliser is divided by.
            self.arrays["d" + name if operand["kind"] == "output" else name] = array
        self.is_reverse = {name: one.get("reverse", False) for name, one in self.operands.items()}

    def given(self, name, at):
        if name == "m" and "m" not in self.operands and at == 0:
            return Named((), 0)  # A running maximum, of states that are not scaled yet.
        kind = self.operands.get(name, {}).get("kind")
        last = TOKENS + 1
        if kind == "state" and at == (last if self.is_reverse[name] else 0):
            return self.named(name, self.arrays[name])
        if kind == "param":
            return self.named(name, self.arrays[name])
        if kind == "input" or (name in self.arrays and kind is None):
            return self.named(name, self.arrays[name][at - 1])
        original = name[1:]
        if self.operands.get(original, {}).get("kind") == "state":
            if at == (1 if self.is_reverse[original] else TOKENS):
                return self.named(original, np.zeros_like(self.arrays[original]))
        return None

    def named(self, name, data):
        known = self.operands[name if name in self.operands else name[1:]]
        return Named(known["dims"], data)

    def run(self, *forms):
        last = "N" if "C" in self.operands else "C"
        formulas = Formulas(TOKENS, last, self.sizes, self.given)
        for form in forms:
            letters = "t"
            if form == "chunk":
                text = "\n".join(self.formulas["chunk"])
                letters = "ts" if "s<=t" in text or "s<t" in text else "ij"
            formulas.add(self.formulas[form], letters)
        return formulas

    def of_kind(self, kind):
        return [name for name, one in self.operands.items() if one["kind"] == kind]

    def outputs(self, *forms):
        formulas = self.run(*forms)
        return {
            name: [
                formulas.value(name, (t,)).over(self.operands[name]["dims"])
                for t in range(1, TOKENS + 1)
            ]
            for name in self.of_kind("output")
        }

    def loss(self):
        outputs = self.outputs("normal")
        return sum(
            (np.stack(value) * self.arrays["d" + name]).sum() for name, value in outputs.items()
        )


class Computed(Case):
    def call(self, name):
        formulas = json.loads(self.lathe("explain", name, "--json").stdout)["formulas"]
        plan = json.loads(self.lathe("emit", name, "--stage", "plan").stdout)
        return Call(plan, formulas)

    def test_the_chunk_form_is_the_normal_form(self):
        compared = 0
        for name in NAMES:
            call = self.call(name)
            if not call.formulas["chunk"]:
                continue
            with self.subTest(name):
                normal, chunk = call.outputs("normal"), call.outputs("normal", "chunk")
                for output, value in normal.items():
                    np.testing.assert_allclose(chunk[output], value, rtol=1e-9, atol=1e-12)
                tokens, chunks = call.run("normal"), call.run("normal", "chunk")
                for state in call.of_kind("state"):
                    if "." in state:
                        continue
                    dims = call.operands[state]["dims"]
                    last = 1 if call.is_reverse[state] else TOKENS
                    np.testing.assert_allclose(
                        chunks.final(state).over(dims),
                        tokens.value(state, (last,)).over(dims),
                        rtol=1e-9,
                        atol=1e-12,
                    )
                compared += 1
        self.assertGreater(compared, 20)

    def test_the_gradient_is_that_of_central_differences(self):
        for name in NAMES:
            with self.subTest(name):
                self.check_gradient(self.call(name))

    def check_gradient(self, call):
        formulas = call.run("normal", "chunk", "gradient")
        for name in call.of_kind("input") + call.of_kind("param") + call.of_kind("state"):
            if "." in name:
                continue
            dims, array = call.operands[name]["dims"], call.arrays[name]
            if call.operands[name]["kind"] == "input":
                gradient = np.stack(
                    [self.one(formulas, name, (t,), dims, array[0]) for t in range(1, TOKENS + 1)]
                )
            elif call.operands[name]["kind"] == "state":
                at = TOKENS + 1 if call.is_reverse[name] else 0
                gradient = self.one(formulas, name, (at,), dims, array)
            else:
                gradient = self.one(formulas, name, (), dims, array)
            direction = call.random.standard_normal(array.shape)
            step = 1e-5
            losses = []
            for sign in (1, -1):
                call.arrays[name] = array + sign * step * direction
                losses.append(call.loss())
            call.arrays[name] = array
            expected = (losses[0] - losses[1]) / (2 * step)
            np.testing.assert_allclose(
                (gradient * direction).sum(), expected, rtol=1e-5, atol=1e-7, err_msg=name
            )

    @staticmethod
    def one(formulas, name, places, dims, like):
        return np.broadcast_to(formulas.value("d" + name, places).over(dims), like.shape)


if __name__ == "__main__":
    unittest.main()
