"""The checkers themselves, on files that break each rule, and the closing line of ./dev test."""

import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import sources
import style
import tidy

sys.path.insert(0, str(sources.ROOT / "tools/dev"))
import summary  # noqa: E402


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for module in (sources, style, tidy):
            patch = mock.patch.object(module, "ROOT", self.root)
            patch.start()
            self.addCleanup(patch.stop)

    def run_check(self, check, **arguments):
        sources.includes.cache_clear()
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = check(mock.Mock(**arguments))
        return status, out.getvalue()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def test_layout_takes_a_source_within_the_limits(self):
        self.write("cache/Good.h", "#pragma once\n" + "x" * 100 + "\n")
        self.assertEqual(self.run_check(style.check_layout)[0], 0)

    def test_layout_names_the_line_that_is_too_long(self):
        self.write("dev", "#!/bin/sh\n" + "x" * 101 + "\n")
        self.assertEqual(
            self.run_check(style.check_layout)[1].splitlines()[0], "dev:2: 101 columns"
        )

    def test_layout_names_the_file_that_is_too_long(self):
        self.write("a.cpp", "\n" * 401)
        self.assertIn("a.cpp: 401 lines", self.run_check(style.check_layout)[1])

    def test_layout_asks_for_a_guard(self):
        self.write("a.h", "int x;\n")
        self.assertIn("a.h: no #pragma once", self.run_check(style.check_layout)[1])

    def test_words_names_unfinished_work(self):
        self.write("notes.md", "fine\n" + "TO" + "DO: more\n")
        status, out = self.run_check(style.check_words)
        self.assertEqual((status, out.splitlines()[0]), (1, "notes.md:2: TO" "DO"))

    def test_format_names_the_file(self):
        self.write(".clang-format", "BasedOnStyle: LLVM\n")
        self.write("a.cpp", "int   x ;\n")
        self.assertIn("a.cpp: ", self.run_check(style.check_format, fix=False)[1])
        self.assertEqual(self.run_check(style.check_format, fix=True)[0], 0)
        self.assertEqual((self.root / "a.cpp").read_text(), "int x;\n")

    def test_headers_names_one_that_needs_another_first(self):
        self.write("a.h", "#pragma once\nstd::string text();\n")
        self.assertIn("a.h does not compile alone", self.run_check(style.check_headers)[1])

    def test_mlir_is_seen_through_a_header(self):
        self.write("a.h", '#include "mlir/IR/Value.h"\n')
        self.write("a.cpp", '#include "a.h"\n')
        self.write("b.cpp", '#include "llvm/Support/SHA256.h"\n')
        self.assertTrue(sources.needs_mlir(self.root / "a.cpp"))
        self.assertFalse(sources.needs_mlir(self.root / "b.cpp"))

    def test_tidy_reports_a_source_again_until_it_is_clean(self):
        self.write(".clang-tidy", "Checks: '-*,modernize-use-nullptr'\nWarningsAsErrors: '*'\n")
        self.write("a.cpp", "int* pointer = 0;\n")
        unit = str(self.root / "a.cpp")
        self.write(
            "build/compile_commands.json",
            f'[{{"directory": "{self.root}", "file": "{unit}", "command": "c++ -c {unit}"}}]',
        )
        for _ in range(2):
            self.assertIn("nullptr", tidy.run(self.root / "build", False)[0])
            sources.includes.cache_clear()
        self.write("a.cpp", "int* pointer = nullptr;\n")
        self.assertEqual(tidy.run(self.root / "build", False), [])
        self.assertEqual(len(list((self.root / "build/tidy").iterdir())), 1)


class Summary(unittest.TestCase):
    def summarise(self, cases):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "ctest.xml"
            path.write_text(f"<testsuite>{cases}</testsuite>")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                status = summary.main([path])
            return status, out.getvalue().splitlines()[-1]

    def test_passed(self):
        self.assertEqual(
            self.summarise('<testcase name="a" status="run"/>'), (0, "1 passed, 0 failed")
        )

    def test_failed(self):
        cases = '<testcase name="a" status="run"/><testcase name="b" status="fail"/>'
        self.assertEqual(self.summarise(cases), (1, "1 passed, 1 failed"))

    def test_skipped_by_its_exit_code(self):
        cases = (
            '<testcase name="a" status="run"/><testcase name="b" status="notrun">'
            '<skipped message="SKIP_RETURN_CODE=77"/></testcase>'
        )
        self.assertEqual(self.summarise(cases), (0, "1 passed, 0 failed, 1 skipped"))

    def test_a_program_that_was_not_built_failed(self):
        cases = (
            '<testcase name="a" status="notrun"><skipped message="Unable to find executable"/>'
            "</testcase>"
        )
        self.assertEqual(self.summarise(cases), (1, "0 passed, 1 failed"))

    def test_no_test_at_all_is_a_failure(self):
        self.assertEqual(self.summarise(""), (1, "0 passed, 0 failed"))


class Dev(unittest.TestCase):
    """sources.ROOT is looked up before a test of Checks can have replaced it."""

    DEV = sources.ROOT / "dev"

    def dev(self, *arguments):
        command = ["bash", self.DEV, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_help_names_every_command(self):
        done = self.dev("--help")
        for command in "demo test build bundle bench format lint clean".split():
            self.assertRegex(done.stdout, rf"(?m)^  {command}\b")
        self.assertEqual(done.returncode, 0)

    def test_an_unknown_command_is_one_line(self):
        done = self.dev("buidl")
        self.assertEqual(done.stderr, "./dev: unknown command 'buidl': run ./dev --help\n")
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
