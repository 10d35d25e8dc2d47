"""Arguments for operators, and their results beside those of the loops of recurrences.py."""

import sys

import support

try:
    import torch
except ImportError as missing:
    print(f"SKIPPED: torch is missing ({missing}): ./dev test installs it")
    sys.exit(77)  # CTest's word

import recurrences

SIZES = {"K": 6, "V": 4, "M": 3, "F": 6}
GATED = ("mlstm",)  # their last state is scaled


def draw(op, batch=2, tokens=9, heads=2, dtype=torch.float32, seed=0):
    """Inputs and params by name, log-decays below zero, and initial states."""
    random = torch.Generator().manual_seed(seed)
    tensors, states = {}, {}
    for operand in op.variant.operands:
        sizes = SIZES | {dim: 1 + SIZES["K"] + SIZES["K"] ** 2 for dim in op.variant.derived}
        dims = [sizes[dim] for dim in operand.dims]
        leading = {
            "input": (batch, tokens, heads),
            "param": (heads,),
            "state": (batch, heads),
        }.get(operand.kind)
        if leading is None:
            continue
        value = torch.randn(*leading, *dims, generator=random)
        if operand.log:
            value = -value.abs()
        if operand.kind == "state":
            states[operand.name] = 1 + value.abs() if len(dims) == 1 else value
        else:
            tensors[operand.name] = value.to(dtype)
    return tensors, states


def required(values):
    return {name: value.detach().clone().requires_grad_() for name, value in values.items()}


class Case(support.Case):
    def check_directions(self, op, step=8e-3):
        """The derivative along a random direction of each that goes in, by differences."""
        tensors, states = draw(op, tokens=6)
        given = required(tensors | {f"initial {name}": x for name, x in states.items()})
        random = torch.Generator().manual_seed(9)
        weights = {}

        def loss(name=None, shift=0):
            moved = dict(given)
            if name:
                moved[name] = given[name] + shift
            initial = {n: moved.pop(f"initial {n}") for n in states}
            outputs, last = op(**moved, initial_state=initial, output_final_state=True)
            results = list(outputs) if isinstance(outputs, tuple) else [outputs]
            if not op._operators.scales:
                results += last.values() if isinstance(last, dict) else [last]
            for place, result in enumerate(results):
                if place not in weights:
                    weights[place] = torch.randn(result.shape, generator=random)
            return sum((weights[n] * x).double().sum() for n, x in enumerate(results))

        loss().backward()
        for name, value in given.items():
            self.assertIsNotNone(value.grad, name)
            direction = torch.randn(value.shape, generator=random)
            parts = (value.grad * direction).double()
            with torch.no_grad():
                move = step * direction
                expected = ((loss(name, move) - loss(name, -move)) / (2 * step)).item()
            error = abs(parts.sum().item() - expected)
            self.assertLess(error, 1e-2 * max(0.3, parts.norm().item()), f"{name}: {expected}")

    def check_gradients(self, op, tensors, states, limit=2e-5, **named):
        """Outputs, last states, and the gradients of all that goes in, of a loss of random
        weights."""
        name = op.variant.name
        tensors, states = required(tensors), required(states)
        exact = required({n: t.double() for n, t in tensors.items()})
        exact_states = required({n: t.double() for n, t in states.items()})
        initial = states if len(states) > 1 else next(iter(states.values()))
        o, last = op(**tensors, initial_state=initial, output_final_state=True, **named)
        last = last if isinstance(last, dict) else dict(zip(states, [last]))
        expected, after = getattr(recurrences, name)(**exact, **exact_states, **named)
        self.assert_close(o.detach().float(), expected.detach(), limit, "output")
        random = torch.Generator().manual_seed(4)
        weight = torch.randn(expected.shape, generator=random)
        loss, exact_loss = (o * weight).sum(), (expected * weight).sum()
        if name not in GATED:
            for state, value in after.items():
                self.assert_close(last[state].detach(), value.detach(), limit, state)
                weight = torch.randn(value.shape, generator=random)
                loss = loss + (last[state] * weight).sum()
                exact_loss = exact_loss + (value * weight).sum()
        loss.backward()
        exact_loss.backward()
        for given, ideal in ((tensors, exact), (states, exact_states)):
            for key, value in given.items():
                self.assertEqual(value.grad.dtype, value.dtype)
                self.assert_close(value.grad.float(), ideal[key].grad, limit, f"gradient of {key}")
