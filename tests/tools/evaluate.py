"""Computes what `lathe explain` prints: formulas of named dimensions, in numpy."""

import re

import numpy as np

TOKEN = re.compile(
    r"\s*(sum_\{\w[<>=]+\w\}(?= )|sum_[a-z](?= )|\d+\.?\d*(?:e[+-]?\d+)?"
    r"|(?:sum|max|min)_\{[\w,]+\}|d\.\w+|\w+|[-+*/@^(),\[\]])"
)


class Named:
    """An array over named dimensions; an operation broadcasts over those that a side lacks."""

    def __init__(self, dims, data):
        self.dims, self.data = tuple(dims), np.asarray(data, dtype=float)

    def over(self, dims):
        order = [d for d in dims if d in self.dims]
        data = self.data.transpose([self.dims.index(d) for d in order])
        return data.reshape([data.shape[order.index(d)] if d in order else 1 for d in dims])

    def join(self, other, function):
        dims = sorted({*self.dims, *other.dims})
        return Named(dims, function(self.over(dims), other.over(dims)))

    def map(self, function):
        return Named(self.dims, function(self.data))

    def sum(self, dims):
        assert set(dims) <= set(self.dims), f"sum over {dims} of {self.dims}"
        kept = [d for d in self.dims if d not in dims]
        return Named(kept, self.data.sum(tuple(self.dims.index(d) for d in dims)))

    def max(self, dim):
        kept = [d for d in self.dims if d != dim]
        return Named(kept, self.data.max(self.dims.index(dim)))


def contract(a, b):
    shared = set(a.dims) & set(b.dims)
    assert len(shared) == 1, f"@ of {a.dims} and {b.dims}"
    return a.join(b, np.multiply).sum(shared)


def l2norm(x, epsilon, divisor):
    square = Named(x.dims, x.data * x.data).sum(x.dims).data / divisor
    return x.map(lambda data: data / np.sqrt(square + epsilon))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


MAPS = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "abs": np.abs, "tanh": np.tanh, "sigmoid": sigmoid, "sin": np.sin, "cos": np.cos,
    "logsigmoid": lambda x: -np.logaddexp(0, -x), "softplus": lambda x: np.logaddexp(0, x),
    "relu": lambda x: np.maximum(x, 0), "silu": lambda x: x * sigmoid(x), "sign": np.sign,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "step": lambda x: (x > 0).astype(float),
}  # fmt: skip


class Parser:
    """Text to tuples: ("+", a, b), ("name", text, index), ("tokens", condition, body), ..."""

    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text):
            match = TOKEN.match(text, at)
            assert match, f"what is {text[at:]!r} in {text!r}?"
            self.tokens.append(match.group(1))
            at = match.end()

    def next(self, *wanted):
        if self.tokens and (not wanted or self.tokens[0] in wanted):
            return self.tokens.pop(0)
        return None

    def expression(self):
        left = self.product()
        while sign := self.next("+", "-"):
            left = (sign, left, self.product())
        return left

    def product(self):
        left = self.contraction()
        while sign := self.next("*", "/"):
            left = (sign, left, self.contraction())
        return left

    def contraction(self):
        left = self.unary()
        while self.next("@"):
            left = ("@", left, self.unary())
        return left

    def unary(self):
        if self.next("-"):
            # The minus of a sum over tokens stands before all of it.
            return ("-", ("number", 0), self.unary())
        base = self.atom()
        return ("^", base, float(self.next())) if self.next("^") else base

    def atom(self):
        token = self.next()
        if token == "(":
            inner = self.expression()
            assert self.next(")")
            return inner
        if re.fullmatch(r"sum_\{\w[<>=]+\w\}|sum_[a-z]", token):
            return ("tokens", re.sub(r"sum_|[{}]", "", token), self.product())
        if token[0].isdigit():
            return ("number", float(token))
        if self.next("("):
            args = [self.expression()]
            while self.next(","):
                args.append(self.expression())
            assert self.next(")")
            return ("call", token, args)
        index = []
        if self.next("["):
            while (part := self.next()) != "]":
                index.append(part)
        return ("name", token, "".join(index))


class Formulas:
    """The values of names at tokens 1 to T, from the equations of one or several forms."""

    def __init__(self, tokens, last, sizes, given):
        """last is the name of the last token; given(name, token) what the call passes, or None."""
        self.tokens, self.sizes, self.given = tokens, sizes, given
        self.equations, self.known, self.end = {}, {}, {last: tokens}

    def add(self, lines, letters="t"):
        joined = []
        for line in lines:
            if line.startswith(" "):
                joined[-1] += " " + line.strip()
            else:
                joined.append(line)
        for line in joined:
            left, right = line.split("   for ")[0].split(" = ", 1)
            solved = re.fullmatch(r"\(I ([+-]) (\w+)\)\^-1 (\w+)", right)
            if solved:
                i, j = letters
                sign, weights, rest = solved.groups()
                opposite = "+" if sign == "-" else "-"
                right = f"{rest}[{i}] {opposite} sum_{{{j}<{i}}} {weights}[{i},{j}] * {left}[{j}]"
                left += f"[{i}]"
            name, index = re.fullmatch(r"([\w.]+)(?:\[(.*)\])?", left).groups()
            parser = Parser(right)
            body = parser.expression()
            assert not parser.tokens, f"{parser.tokens} is left of {line!r}"
            self.equations[name, index in self.end or index == "1"] = (index or "", body, letters)

    def value(self, name, places):
        key = (name, places)
        if key not in self.known:
            self.known[key] = self.compute(name, places)
        return self.known[key]

    def compute(self, name, places):
        at = places[0] if places else 0
        found = self.given(name, at)
        if found is not None:
            return found
        if name == "position":
            return Named((), at - 1)
        index, body, letters = self.equations[name, False]
        if not index:  # Of the token at hand, or of none.
            return self.evaluate(body, {letters[0]: at, "t": at})
        if "," in index:
            return self.evaluate(body, dict(zip(letters, places, strict=True)))
        offset = int(index[1:] or 0)
        return self.evaluate(body, {letters[0]: at - offset, "t": at - offset})

    def final(self, name):
        """The state after the chunk, by its own equation."""
        _, body, _ = self.equations[name, True]
        return self.evaluate(body, {})

    def place(self, text, tokens):
        base, offset = re.fullmatch(r"(\w+?)([+-]\d+)?", text).groups()
        known = tokens | self.end
        return (known[base] if base in known else int(base)) + int(offset or 0)

    def evaluate(self, node, tokens):
        kind, *parts = node
        if kind == "number":
            return Named((), parts[0])
        if kind == "name":
            name, index = parts
            if index:
                return self.value(name, tuple(self.place(i, tokens) for i in index.split(",")))
            if name in tokens or name in self.end:
                return Named((), (tokens | self.end)[name])
            if name in self.sizes:
                return Named((), self.sizes[name])
            return self.value(name, tuple(list(tokens.values())[:1]))
        if kind == "tokens":
            total = Named((), 0)
            for n in self.range(parts[0], tokens):
                part = self.evaluate(parts[1], tokens | {parts[0][0]: n})
                total = total.join(part, np.add)
            return total
        if kind == "call":
            return self.call(*parts, tokens)
        left = self.evaluate(parts[0], tokens)
        if kind == "^":
            return left.map(lambda x: x ** parts[1])
        right = self.evaluate(parts[1], tokens)
        if kind == "@":
            return contract(left, right)
        functions = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
        return left.join(right, functions[kind])

    def range(self, condition, tokens):
        everyone = range(1, self.tokens + 1)
        if len(condition) == 1:
            return everyone
        _, sign, i = re.fullmatch(r"(\w)([<>=]+)(\w)", condition).groups()
        at = tokens[i]
        tests = {"<=": lambda n: n <= at, "<": lambda n: n < at, ">": lambda n: n > at,
                 ">=": lambda n: n >= at}  # fmt: skip
        return filter(tests[sign], everyone)

    def call(self, name, args, tokens):
        function, _, over = name.partition("_")
        if over and len(over) == 1 and over.islower():  # The largest over the tokens.
            values = [self.evaluate(args[0], tokens | {over: n}) for n in self.range(over, tokens)]
            result = values[0]
            for value in values[1:]:
                result = result.join(value, np.maximum)
            return result
        values = [self.evaluate(arg, tokens) for arg in args]
        x, dims = values[0], over.strip("{}").split(",") if over else values[0].dims
        if function in ("min", "max") and len(values) == 2:
            return x.join(values[1], np.minimum if function == "min" else np.maximum)
        if function == "sum":
            assert over or len(dims) == 1, f"sum of {dims} without a name"
            return x.sum(dims)
        if function == "max":
            return x.max(dims[0])
        if function in ("l2norm", "rmsnorm"):
            epsilon = values[1].data if len(values) > 1 else 1e-6
            return l2norm(x, epsilon, x.data.size if function == "rmsnorm" else 1)
        if function == "softmax":
            weights = x.map(lambda data: np.exp(data - data.max()))
            return weights.map(lambda data: data / data.sum())
        return x.map(MAPS[name])
