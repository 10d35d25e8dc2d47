"""Arguments for operators, and their results beside those of the loops of recurrences.py."""

import sys

import support

try:
    import torch
except ImportError as missing:
    print(f"SKIPPED: torch is missing ({missing}): ./dev test installs it")
    sys.exit(77)  # CTest's word

import recurrences

SIZES = {"K": 6, "V": 4}
GATED = ("mlstm",)  # their last state is scaled


def draw(op, batch=2, tokens=9, heads=2, dtype=torch.float32, seed=0):
    """Inputs and params by name, log-decays below zero, and initial states."""
    random = torch.Generator().manual_seed(seed)
    tensors, states = {}, {}
    for operand in op.variant.operands:
        dims = [SIZES[dim] for dim in operand.dims]
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
