"""Runs the lathe binary the way a user does, away from the user's cache and GPU."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LATHE = os.environ.get("LATHE_BIN", str(ROOT / "build/release/bin/lathe"))
VARIANTS = ["gated_delta_net", "gla", "linear_attention", "mamba2", "retnet"]


class Case(unittest.TestCase):
    """A folder of its own for each test, which is also where the binary runs."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def lathe(self, *arguments, code=0, text=True, **environment):
        settings = {
            "LATHE_VARIANTS": str(ROOT / "variants"),
            "LATHE_CACHE_DIR": str(self.folder / "cache"),
            "LATHE_TUNING_DIR": str(self.folder / "tuning"),
            # No driver, also where there is a GPU: the other half is tested by tests/gpu.
            "LATHE_CUDA_PATH": str(self.folder / "no-libcuda.so"),
        }
        if "LATHE_NVRTC_PATH" not in os.environ:
            settings["LATHE_PYTHON"] = str(ROOT / ".venv")
        done = subprocess.run(
            [LATHE, *map(str, arguments)],
            capture_output=True,
            text=text,
            check=False,
            cwd=self.folder,
            env=os.environ | settings | environment,
        )
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def skip_without_nvrtc(self, done):
        if "NVRTC" in done.stderr and done.returncode:
            self.skipTest(done.stderr.strip())


SUM = """variant total(K, V) {
  input  k[K], v[V], q[K]
  state  S[K, V]
  S <- S + k * v
  output o[V] = q @ S
}
"""
