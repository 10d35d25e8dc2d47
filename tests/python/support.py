"""What the tests of the Python package share: where things are, and draws of arguments."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/variants"))

# Before lathe and torch read them: the user's own caches stay out of the tests.
SCRATCH = tempfile.TemporaryDirectory(prefix="lathe-python-tests-")
for variable in ("LATHE_CACHE_DIR", "LATHE_TUNING_DIR", "TORCHINDUCTOR_CACHE_DIR"):
    os.environ[variable] = str(pathlib.Path(SCRATCH.name) / variable.lower())

try:
    import numpy as np
except ImportError as missing:
    print(f"SKIPPED: numpy is missing ({missing}): ./dev installs it")
    sys.exit(77)  # CTest's word


def ratio(found, expected):
    """RMS of the difference over RMS of what is expected."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    scale = np.sqrt(np.mean(expected**2)) if expected.size else 0
    return np.sqrt(np.mean((found - expected) ** 2)) / scale if scale else np.abs(found).max()


def gla_arrays(batch=2, tokens=33, heads=2, K=8, V=6, dtype=np.float32, seed=1):
    """q, k, v, g."""
    draw = np.random.default_rng(seed).standard_normal
    q, k, v, g = (draw((batch, tokens, heads, size)).astype(dtype) for size in (K, K, V, K))
    return q, k, v, -np.abs(g)


def naive_gla(q, k, v, g, state=None, scale=None):
    """Token by token, in double precision: o and the last state."""
    q, k, v, g = (np.asarray(x, float) for x in (q, k, v, g))
    batch, tokens, heads, K = q.shape
    scale = K**-0.5 if scale is None else scale
    state = np.zeros((batch, heads, K, v.shape[-1])) if state is None else np.array(state, float)
    outputs = np.empty(v.shape)
    for t in range(tokens):
        state = np.exp(g[:, t])[..., None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs[:, t] = scale * np.einsum("bhk,bhkv->bhv", q[:, t], state)
    return outputs, state


class Case(unittest.TestCase):
    maxDiff = None

    def assert_close(self, found, expected, limit=2e-6, what=""):
        self.assertEqual(tuple(np.shape(found)), tuple(np.shape(expected)), what)
        self.assertLess(ratio(found, expected), limit, what)

    def assert_refused(self, error, text, function, *args, **named):
        """The whole text of an error."""
        with self.assertRaises(error) as caught:
            function(*args, **named)
        self.assertEqual(str(caught.exception), text)

    def python(self, program, code=0, **environment):
        """A program in a process of its own; what it prints."""
        done = subprocess.run(
            [sys.executable, "-B", "-c", program],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=os.environ | environment,
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout
