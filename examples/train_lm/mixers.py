"""Token mixers: any variant of Lathe as a layer, and softmax attention to compare with."""

import pathlib

import torch
from torch import nn
from torch.nn import functional

import lathe
import lathe.torch
from lathe.torch.nn import RMSNormGated, ShortConvolution


def mixer(name, width, heads, sizes):
    """`name` is "sdpa", a variant of the library, or a file that holds one. `sizes` are those of
    the variant's dimensions by name; width / heads where it says nothing."""
    if name == "sdpa":
        return Attention(width, heads)
    path = pathlib.Path(name)
    if path.suffix == ".lathe":
        variant = lathe.compile(path.read_text(), file=name)
    else:
        variant = lathe.load(name)
    return Recurrence(variant, width, heads, sizes)


class Recurrence(nn.Module):
    """A variant between projections: every input of its equation is a linear map of the tokens,
    log- decays below zero; its params are weights; its outputs are normed, gated and mapped
    back."""

    def __init__(self, variant, width, heads, sizes):
        super().__init__()
        self.op = lathe.torch.op(variant)
        self.heads = heads
        free = [dim for dim in variant.dims if dim not in variant.derived]
        unknown = sorted(set(sizes) - set(free))
        if unknown:
            raise SystemExit(f"{variant.name} has no dimension {unknown[0]}, but {', '.join(free)}")
        self.dims = {dim: sizes.get(dim, width // heads) for dim in free}
        by_kind = {kind: [] for kind in ("input", "param", "output")}
        for operand in variant.operands:
            by_kind.get(operand.kind, []).append(operand)
        self.inputs, self.outputs = by_kind["input"], by_kind["output"]
        self.widths = [self.size_of(operand) for operand in self.inputs]
        self.convolution = ShortConvolution(width, 4)
        self.project = nn.Linear(width, heads * sum(self.widths), bias=False)
        self.params = nn.ParameterDict(
            {each.name: nn.Parameter(self.initial(each)) for each in by_kind["param"]}
        )
        each = self.size_of(self.outputs[0])
        self.gate = nn.Linear(width, heads * each, bias=False)
        self.norm = RMSNormGated(each)
        self.out = nn.Linear(heads * each, width, bias=False)
        if not self.is_causal():
            raise SystemExit(f"{variant.name} reads tokens that follow; a language model can't")

    def size_of(self, operand):
        size = 1
        for dim in operand.dims:
            size *= self.dims[dim]
        return size

    def initial(self, operand):
        shape = (self.heads, *(self.dims[dim] for dim in operand.dims))
        if operand.name == "A_log":
            return torch.empty(shape).uniform_(1, 16).log()
        if operand.name == "dt_bias":
            steps = torch.empty(shape).uniform_(-7, -2.3).exp()
            return steps + torch.log(-torch.expm1(-steps))
        if operand.log:  # spread over heads, as RetNet does
            heads = torch.arange(self.heads).reshape(-1, *(1,) * len(operand.dims))
            return (1 - torch.exp2(-5.0 - heads)).log().expand(shape).clone()
        return torch.randn(shape) / 8 + (operand.name in ("D", "weight"))

    def arguments(self, x):
        """The tensors of the equation's inputs, [B, T, heads, dims]."""
        parts = self.project(x).unflatten(-1, (self.heads, -1)).split(self.widths, -1)
        made = {}
        for operand, part in zip(self.inputs, parts):
            part = part.unflatten(-1, [self.dims[dim] for dim in operand.dims] or [1])
            part = part if operand.dims else part[..., 0]
            made[operand.name] = functional.logsigmoid(part.float()) / 16 if operand.log else part
        return made

    def is_causal(self):
        with torch.no_grad():
            x = torch.randn(1, 2, self.project.in_features)
            both = [
                self.op(**self.arguments(y), **self.params)[0]
                for y in (x, x * x.new_tensor([[[1], [2]]]))
            ]
        first = [(o if isinstance(o, tuple) else (o,))[0][:, 0] for o in both]
        return torch.equal(*first)

    def forward(self, x, state=None):
        before, recurrent = state or (None, None)
        mixed, last = self.convolution(x, before)
        o, recurrent = self.op(
            **self.arguments(mixed),
            **self.params,
            initial_state=recurrent,
            output_final_state=state is not None,
        )
        o = (
            (o if isinstance(o, tuple) else (o,))[0].flatten(3)
            if self.outputs[0].dims
            else o[..., None]
        )
        gate = self.gate(x).unflatten(-1, (self.heads, -1))
        return self.out(self.norm(o, gate).flatten(2)), (last, recurrent)

    def start(self):
        """The state before the first token."""
        return (None, None)


class Attention(nn.Module):
    """Causal softmax attention with rotary positions; its state are the keys and values so far."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x, state=None):
        q, k, v = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        past = state[0].shape[2] if state else 0
        q, k = turn(q, past), turn(k, past)
        if state:
            k, v = (torch.cat(pair, 2) for pair in zip(state, (k, v)))
        o = functional.scaled_dot_product_attention(q, k, v, is_causal=not past)
        return self.out(o.transpose(1, 2).flatten(2)), (k, v)

    def start(self):
        return ()


def turn(x, past):
    """Rotary positions of x [B, heads, T, D], whose first token is number `past`."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(past, past + x.shape[2], device=x.device)[:, None] * rates
    one, other = x.float().chunk(2, -1)
    parts = (one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin())
    return torch.cat(parts, -1).to(x.dtype)
