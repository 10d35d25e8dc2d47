"""What needs a GPU, without one."""

import unittest

from cli import Case


class WithoutGpu(Case):
    def test_each_says_that_there_is_no_driver(self):
        for arguments in (
            ["bench", "gla", "--shape", "1,64,1"],
            ["bench", "--suite", "h200", "--json", "out.json"],
            ["tune", "gla", "--shape", "1,64,1"],
            ["bench", "gla", "--shape", "1,64,1", "--pass", "bwd"],
            ["tune", "gla", "--shape", "1,64,1", "--pass", "bwd"],
        ):
            done = self.lathe(*arguments, code=1)
            self.assertEqual(done.stdout, "")
            self.assertRegex(done.stderr, r"^lathe: .*no-libcuda\.so")
            self.assertEqual(done.stderr.count("\n"), 1)
        self.assertFalse((self.folder / "out.json").exists())


class Usage(Case):
    def test_file_or_suite(self):
        for arguments in ([], ["gla", "--suite", "h200"]):
            self.assertEqual(
                self.lathe("bench", *arguments, code=2).stderr,
                "lathe: lathe bench takes either FILE with --shape, or --suite h200\n",
            )

    def test_a_file_needs_a_shape(self):
        self.assertEqual(
            self.lathe("bench", "gla", code=2).stderr,
            "lathe: lathe bench FILE needs --shape B,T,H, such as --shape 8,4096,16\n",
        )

    def test_the_backward_pass_has_one_family(self):
        rule = "; its equation decides which kernels a backward pass has\n"
        for command in ("bench", "tune"):
            self.assertEqual(
                self.lathe(command, "gla", "--shape", "1,64,1", "--pass", "bwd", "--family", "scan",
                           code=2).stderr,
                "lathe: --pass bwd takes no --family" + rule,
            )
        self.assertEqual(
            self.lathe("bench", "--suite", "h200", "--pass", "bwd", code=2).stderr,
            "lathe: --pass bwd takes a FILE; a suite says itself which passes it measures\n",
        )

    def test_an_unknown_suite(self):
        self.assertEqual(
            self.lathe("bench", "--suite", "b300", code=2).stderr,
            "lathe: 'b300' is no suite; there are h200 and h200-backward\n",
        )

    def test_numbers(self):
        for option, value in (("--repeats", "0"), ("--tune", "-1"), ("--budget", "0")):
            command = "tune" if option == "--budget" else "bench"
            self.lathe(command, "gla", "--shape", "1,1,1", option, value, code=2)


if __name__ == "__main__":
    unittest.main()
