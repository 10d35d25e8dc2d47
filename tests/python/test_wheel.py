"""The wheel that `pip install .` makes, around the liblathe that is built already."""

import email
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

from support import ROOT, Case

import lathe


@unittest.skipUnless(
    importlib.util.find_spec("scikit_build_core"),
    "scikit-build-core is missing: ./dev test installs it",
)
class Wheel(Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--no-index"]
        command += ["--no-build-isolation", "--disable-pip-version-check"]
        command += ["--wheel-dir", str(cls.folder)]
        command += [f"--config-settings=build-dir={cls.folder / 'build'}"]
        library = os.environ["LATHE_LIBRARY"]
        command += [f"--config-settings=cmake.define.LATHE_LIBRARY={library}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        (cls.path,) = cls.folder.glob("*.whl")

    def test_for_every_python(self):
        name = f"lathe-{lathe.version()}-py3-none-linux_{os.uname().machine}.whl"
        self.assertEqual(self.path.name, name)

    def test_what_it_says_of_itself(self):
        with zipfile.ZipFile(self.path) as wheel:
            text = wheel.read(f"lathe-{lathe.version()}.dist-info/METADATA").decode()
        about = email.message_from_string(text)
        self.assertEqual((about["Name"], about["Version"]), ("lathe", lathe.version()))
        self.assertEqual(about["License-Expression"], "Apache-2.0")
        self.assertEqual(sorted(about.get_all("Provides-Extra")), ["jax", "torch"])
        self.assertIn("numpy>=1.22", about.get_all("Requires-Dist"))

    def test_its_files(self):
        with zipfile.ZipFile(self.path) as wheel:
            names = {name for name in wheel.namelist() if ".dist-info/" not in name}
            size = wheel.getinfo("lathe/lib/liblathe.so").file_size
        modules = {
            str(path.relative_to(ROOT / "python")) for path in (ROOT / "python").rglob("*.py")
        }
        libraries = {"lathe/lib/liblathe.so"}
        if (pathlib.Path(os.environ["LATHE_LIBRARY"]).parent / "liblathe_jax.so").exists():
            libraries.add("lathe/lib/liblathe_jax.so")
        self.assertEqual(names, modules | libraries | {"lathe/py.typed"})
        self.assertLess(size, 100e6)

    def test_it_runs_where_nothing_else_is(self):
        target = self.folder / "installed"
        with zipfile.ZipFile(self.path) as wheel:
            wheel.extractall(target)
        program = """
import numpy, lathe
one = numpy.ones((1, 2, 1, 3), numpy.float32)
o, _ = lathe.load("linear_attention")(one, one, one)
print(lathe.__file__, o.ravel().tolist())
"""
        environment = {"LATHE_LIBRARY": "", "PYTHONPATH": str(target), "PATH": "/nowhere"}
        found = self.python(program, **environment)
        self.assertEqual(found, f"{target}/lathe/__init__.py {[1.0] * 6}\n")

    @unittest.skipUnless(importlib.util.find_spec("jax"), "jax is missing: ./dev test installs it")
    def test_jax_finds_its_library_there(self):
        target = self.folder / "with jax"
        with zipfile.ZipFile(self.path) as wheel:
            wheel.extractall(target)
        program = """
import jax.numpy, lathe.jax
one = jax.numpy.ones((1, 2, 1, 3))
print(lathe.jax.op("linear_attention")(one, one, one)[0].ravel().tolist())
"""
        environment = {"LATHE_LIBRARY": "", "PYTHONPATH": str(target)}
        self.assertEqual(self.python(program, **environment), f"{[1.0] * 6}\n")


if __name__ == "__main__":
    unittest.main()
