"""Processes and threads: several at once, after a fork, and at the end of the interpreter."""

import concurrent.futures
import importlib.util
import unittest

from support import Case, gla_arrays, naive_gla, np

import lathe

SUPPORT = f"import sys; sys.path.insert(0, {__file__.rsplit('/', 1)[0]!r})\n"
HAS_TORCH = importlib.util.find_spec("torch") is not None


class Threads(Case):
    def test_one_variant_from_several(self):
        gla = lathe.load("gla")

        def work(seed):
            for tokens in range(1, 20):
                arrays = gla_arrays(tokens=tokens, seed=seed)
                self.assert_close(gla(*arrays)[0], naive_gla(*arrays)[0])

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work, seed) for seed in range(3)]:
                done.result()

    def test_errors_are_of_their_thread(self):
        gla = lathe.load("gla")
        q, k, v, g = gla_arrays()

        def work(tokens):
            for _ in range(50):
                with self.assertRaisesRegex(lathe.ArgumentError, rf"\[2, {tokens}, 2, 8\]"):
                    gla(q, k[:, :tokens], v, g)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work, tokens) for tokens in (3, 4, 5)]:
                done.result()

    def test_compile_on_several(self):
        def work(index):
            text = lathe.load("gla").text.replace("variant gla", f"variant gla{index}")
            return lathe.compile(text)(*gla_arrays())[0]

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            first, *others = pool.map(work, range(6))
        for other in others:
            np.testing.assert_array_equal(other, first)


class Processes(Case):
    def test_after_a_fork(self):
        program = """
import os
import warnings
from support import gla_arrays, naive_gla, ratio
import lathe

warnings.simplefilter("ignore", DeprecationWarning)  # of forks in processes with threads
gla = lathe.load("gla")
arrays = gla_arrays(batch=8, tokens=200)
gla(*arrays)
child = os.fork()
found = ratio(gla(*arrays)[0], naive_gla(*arrays)[0])
if child == 0:
    os._exit(0 if found < 2e-6 else 1)
print(os.waitpid(child, 0)[1], found < 2e-6)
"""
        self.assertEqual(self.python(SUPPORT + program), "0 True\n")

    def test_the_end_of_the_interpreter(self):
        program = """
import threading
from support import gla_arrays
import lathe

kept = lathe.load("gla")
arrays = gla_arrays(tokens=500)
kept(*arrays)

def forever():
    while True:
        kept(*arrays)

for _ in range(2):
    threading.Thread(target=forever, daemon=True).start()
print("end")
"""
        for _ in range(3):
            self.assertEqual(self.python(SUPPORT + program), "end\n")

    def test_handles_that_die_at_the_end(self):
        program = """
import atexit
from support import gla_arrays
import lathe

class Keeper:
    def __del__(self):
        print(lathe.load("retnet").name, self.gla(*gla_arrays())[0].shape)

keeper = Keeper()
keeper.gla = lathe.load("gla")
atexit.register(lambda: print(keeper.gla.name))
"""
        self.assertEqual(
            self.python(SUPPORT + program, PYTHONWARNINGS="error").splitlines()[0], "gla"
        )

    @unittest.skipUnless(HAS_TORCH, "torch is missing: ./dev test installs it")
    def test_the_end_with_operators(self):
        program = """
import torch
import lathe.torch

op = lathe.torch.op("gla")
q = torch.randn(1, 3, 2, 4, requires_grad=True)
loss = op(q, q, q, -q.abs())[0].sum()
loss.backward()
print(q.grad.shape)
"""
        self.assertEqual(self.python(program), "torch.Size([1, 3, 2, 4])\n")

    def test_nothing_happens_on_import(self):
        program = """
import sys
import lathe
print("torch" in sys.modules, lathe._abi.library.cache_info().currsize)
"""
        self.assertEqual(self.python(program), "False 0\n")


if __name__ == "__main__":
    unittest.main()
