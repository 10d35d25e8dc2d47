"""Installs Lathe, then builds and runs programs against what was installed."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ["LATHE_BUILD"])
VERSION = re.search(r"VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text().split("project(")[1])[1]


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        raise AssertionError(f"{command}\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Embed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        installed = cls.folder / "installed"
        run("cmake", "--install", BUILD, "--component", "lathe", "--prefix", installed)
        cls.prefix = cls.folder / "moved"  # The tree stands wherever it is put.
        installed.rename(cls.prefix)
        consumer = cls.folder / "consumer"
        run("cmake", "-S", HERE / "consumer", "-B", consumer, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={cls.prefix}",
            f'-DCMAKE_C_FLAGS=-DLATHE_EXPECTED_VERSION=\\"{VERSION}\\"')
        run("cmake", "--build", consumer)
        cls.consumer = consumer

    def environment(self, **more):
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        return os.environ | {
            "LATHE_CACHE_DIR": f"{state.name}/cache",
            "LATHE_TUNING_DIR": f"{state.name}/tuning",
            "LD_LIBRARY_PATH": str(self.library().parent),
        } | more

    def library(self):
        return next(self.prefix.glob("lib*/**/liblathe.so"))

    def flags(self):
        found = next(self.prefix.glob("lib*/**/pkgconfig"))
        text = run("pkg-config", "--cflags", "--libs", "lathe",
                   env=os.environ | {"PKG_CONFIG_PATH": str(found)})
        return text.split()

    def run_program(self, name, *arguments, **more):
        out = run(self.consumer / name, *arguments, env=self.environment(**more))
        self.assertIn(": passed\n", out)

    def test_gla_forward_and_backward(self):
        self.run_program("gla")

    def test_errors_before_a_call(self):
        self.run_program("errors")

    def test_errors_of_tensors(self):
        self.run_program("tensors")

    def test_calls_from_cpp(self):
        self.run_program("calls")

    @unittest.skipUnless(os.environ.get("LATHE_NVRTC_PATH"), "no NVRTC: ./dev names one")
    def test_cuda_on_a_pretended_driver(self):
        self.run_program("cuda", LATHE_CUDA_PATH=os.environ["LATHE_FAKE_CUDA"])

    def test_cuda_computes_what_the_cpu_does(self):
        self.run_program("device", LATHE_CUDA_PATH=os.environ["LATHE_EMULATED_CUDA"],
                         LATHE_NVRTC_PATH=os.environ["LATHE_EMULATED_NVRTC"], LATHE_CACHE="off")

    def test_cuda_without_a_driver(self):
        self.run_program("cuda", "absent", LATHE_CUDA_PATH="/nonexistent/libcuda.so.1")

    def test_a_folder_of_ones_own(self):
        spec = (ROOT / "variants/gla.lathe").read_text().replace("q @ S", "q @ (S + S)")
        (self.folder / "gla.lathe").write_text(spec)
        done = subprocess.run([self.consumer / "gla"], capture_output=True, text=True, check=False,
                              env=self.environment(LATHE_VARIANTS=str(self.folder)))
        self.assertIn("worst < 1e-5", done.stdout)

    def test_only_the_symbols_of_the_abi(self):
        names = {line.split()[-1] for line in
                 run("nm", "-D", "--defined-only", self.library()).splitlines()}
        declared = re.findall(r"(?s)LATHE_API [^;(]*?(lathe_\w+)\(",
                              (ROOT / "runtime/include/lathe/lathe.h").read_text())
        abi = run("nm", "-D", "--defined-only", self.library())
        self.assertIn(" A LATHE_1", abi)
        self.assertEqual({name.split("@")[0] for name in names} - {"LATHE_1"}, set(declared))

    def test_needs_only_libc_and_says_its_abi(self):
        dynamic = run("readelf", "-d", self.library())
        needed = set(re.findall(r"NEEDED.*\[(\w+)", dynamic))
        self.assertLessEqual(needed, {"libc", "libm", "libdl", "libpthread", "librt", "ld"})
        self.assertRegex(dynamic, r"SONAME.*\[liblathe\.so\.1\]")
        self.assertRegex(dynamic, r"NODELETE")

    def test_headers_in_strict_dialects(self):
        for compiler, suffix, dialects in (("cc", ".h", ("c99", "c11")),
                                           ("c++", ".h", ("c++11", "c++20")),
                                           ("c++", ".hpp", ("c++17", "c++20"))):
            for dialect in dialects:
                run(compiler, f"-std={dialect}", "-Wall", "-Wextra", "-pedantic", "-Werror",
                    "-fsyntax-only", "-x", "c" if compiler == "cc" else "c++",
                    *self.flags()[:1], "-", input=f"#include <lathe/lathe{suffix}>\n")

    def test_programs_of_the_documentation(self):
        """Each C and C++ program of the page is built with pkg-config, and prints what follows."""
        page = (ROOT / "docs/embedding-c.md").read_text()
        found = re.findall(r"(?s)```(c|cpp)\n(.*?)```\n(.*?)```\n(.*?)```", page)
        self.assertEqual([language for language, *_ in found], ["c", "cpp"])
        for language, program, _, expected in found:
            source = self.folder / f"page.{language}"
            source.write_text(program)
            compiler = ["cc", "-std=c99"] if language == "c" else ["c++", "-std=c++17"]
            run(*compiler, "-Wall", "-Wextra", "-pedantic", "-Werror", source, "-o",
                self.folder / "page", *self.flags())
            self.assertEqual(run(self.folder / "page", env=self.environment()), expected)


if __name__ == "__main__":
    unittest.main()
