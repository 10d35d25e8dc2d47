"""Arguments for the variants of the table, and what their formulas make of them."""

import re
import zlib

import numpy as np
from variants import SIZES

BATCH, HEADS = 2, 2


def operands(text):
    """"-g[K] b" as (name, axes, sign) of each."""
    return [
        (name, tuple(filter(None, axes.split(","))), sign)
        for sign, name, axes in re.findall(r"([-+]?)(\w+)(?:\[([\w,]+)\])?", text)
    ]


def draw(name, variant, tokens, gates=1):
    """Inputs, params and initial states, by name; log-decays are `gates` times a normal number."""
    random = np.random.default_rng(zlib.crc32(f"{name} {tokens}".encode()))
    sizes = SIZES | variant.sizes
    arrays = {}
    for text, lead in (
        (variant.inputs, (BATCH, tokens, HEADS)),
        (variant.params, (HEADS,)),
        (variant.states, (BATCH, HEADS)),
    ):
        for operand, axes, sign in operands(text):
            array = random.standard_normal(lead + tuple(sizes[axis] for axis in axes))
            arrays[operand] = {"": array, "-": -gates * np.abs(array), "+": 1 + np.abs(array)}[sign]
    return arrays


def expect(variant, arrays):
    """The formula, which is of one sequence and one head, for all of them."""
    inputs, params, states = (
        [operand for operand, _, _ in operands(text)]
        for text in (variant.inputs, variant.params, variant.states)
    )

    def one(batch, head):
        x = {n: arrays[n][batch, :, head] for n in inputs} | {n: arrays[n][head] for n in params}
        return variant.formula(x | {n: arrays[n][batch, head] for n in states} | variant.consts)

    results = [[one(batch, head) for head in range(HEADS)] for batch in range(BATCH)]
    stacked = {}
    for name in results[0][0]:
        array = np.array([[result[name] for result in row] for row in results])
        stacked[name] = array if name in states else array.swapaxes(1, 2)
    return stacked


def unscaled(variant, found):
    """What a run gives, with states that an exponential gate writes as they are in the formula."""
    if not variant.gate:
        return found
    ((_, over, _),) = operands(variant.gate)
    gated = variant.gated.split()
    scale = np.asarray(found.pop(f"{gated[0]}.log_scale"), np.longdouble)
    for state, axes, _ in operands(variant.states):
        if state in gated:
            shape = found[state].shape[2:]
            sizes = [size if axis in over else 1 for size, axis in zip(shape, axes)]
            found[state] = found[state] * np.exp(scale).reshape(BATCH, HEADS, *sizes)
    return found
