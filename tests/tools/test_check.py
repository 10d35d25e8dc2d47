"""Help, exit codes, finding files, check and explain."""

import json
import re
import unittest

from cli import ROOT, SUM, VARIANTS, Case

CLASSES = """\
gated_delta_net: scalar decay, 1 rank-1 term, sequential on the GPU
gla: decay over K, scan
linear_attention: no decay, normaliser z, scan
mamba2: scalar decay, scan
retnet: scalar decay, scan
"""


TAYLOR = """variant taylor(K, F = taylor2(K), V) {
  input  k[K], v[V]
  state  S[F, V] in reverse
  S <- S + taylor2(k) * v
  output o[V] = taylor2(k) @ S
}
"""


class Help(Case):
    def test_every_command_has_help_with_examples(self):
        for command in "check explain emit run tune bench cache".split():
            done = self.lathe(command, "--help")
            self.assertIn(f"  lathe {command} ", done.stdout, command)
            self.assertIn("Examples:", done.stdout)
            self.assertEqual(done.stderr, "")

    def test_the_front_page_names_the_commands(self):
        done = self.lathe("--help")
        for command in "check explain emit run tune bench cache".split():
            self.assertRegex(done.stdout, rf"(?m)^  {command} ")

    def test_version(self):
        self.assertRegex(self.lathe("--version").stdout, r"^lathe \d+\.\d+\.\d+ \(.+\)\n$")

    def test_usage_errors_are_2_and_silent_on_stdout(self):
        for arguments in (
            [],
            ["frobnicate"],
            ["check"],
            ["run", "gla"],
            ["tune", "gla"],
            ["cache"],
            ["emit", "gla", "--stage", "wrong"],
            ["run", "gla", "--input", "x.npz", "--device", "gpu"],
        ):
            done = self.lathe(*arguments, code=2)
            self.assertEqual(done.stdout, "", arguments)
            self.assertNotEqual(done.stderr, "", arguments)


class Find(Case):
    def test_a_path(self):
        path = self.write("a/sum.lathe", SUM)
        self.assertEqual(self.lathe("check", path).stdout, "total: no decay, scan\n")

    def test_a_name_in_the_folder_of_the_environment(self):
        self.write("mine/sum.lathe", SUM)
        self.lathe("check", "sum", LATHE_VARIANTS=str(self.folder / "mine"))

    def test_a_name_in_variants_here(self):
        self.write("variants/sum.lathe", SUM)
        self.lathe("check", "sum", LATHE_VARIANTS="")

    def test_a_name_that_is_nowhere_names_the_places(self):
        done = self.lathe("check", "nonesuch", code=1)
        self.assertEqual(done.stdout, "")
        self.assertTrue(
            done.stderr.startswith(
                "lathe: cannot find 'nonesuch', neither as a file nor as nonesuch.lathe in "
                f"{ROOT / 'variants'}, variants, "
            ),
            done.stderr,
        )

    def test_a_path_that_is_not_there(self):
        self.assertEqual(
            self.lathe("check", "a/b.lathe", code=1).stderr,
            "lathe: cannot find 'a/b.lathe'; FILE is a .lathe file or the name of a variant\n",
        )

    def test_several_variants_need_a_choice(self):
        path = self.write("two.lathe", SUM + SUM.replace("total", "other"))
        self.assertEqual(
            self.lathe("emit", path, "--stage", "ir", code=2).stderr,
            f"lathe: {path} holds several variants; choose one with --variant: total, other\n",
        )
        for arguments in (["emit", path, "--stage", "ir"], ["explain", path]):
            self.assertEqual(
                self.lathe(*arguments, "--variant", "third", code=2).stderr,
                f"lathe: {path} has no variant 'third'; it has total, other\n",
            )
        done = self.lathe("explain", path, "--variant", "other")
        self.assertTrue(done.stdout.startswith("other: no decay, scan\n"))


class Check(Case):
    def test_the_classes_of_the_library(self):
        self.assertEqual(self.lathe("check", *VARIANTS).stdout, CLASSES)

    def test_a_remark_has_its_place_and_is_no_error(self):
        done = self.lathe("check", "gated_delta_net")
        self.assertRegex(done.stderr, r"gated_delta_net\.lathe:\d+:\d+: remark: ")
        self.assertRegex(done.stderr, r"(?m)^ +\| +\^$")

    def test_features_in_reverse_run_token_by_token(self):
        path = self.write("taylor.lathe", TAYLOR)
        done = self.lathe("check", path)
        self.assertEqual(done.stdout, "taylor: no decay in reverse, sequential on the GPU\n")
        self.assertIn("the scan family does not run it: it forms Taylor features\n", done.stderr)
        out = self.lathe("explain", path, "--dims", "K=16,V=64").stdout
        self.assertRegex(out, r"(?m)^  default +c0 .* general, the best by the model$")
        self.assertRegex(out, r"(?m)^  step +none: the state S goes in reverse$")
        self.assertIn("  S[t] = S[t+1] + taylor2(k) * v\n", out)

    def test_what_no_kernel_runs_is_said(self):
        path = self.write("taylor.lathe", TAYLOR)
        text = "variant 'taylor': F = 16513 has no kernel; sizes are 1 to 8192"
        out = self.lathe("explain", path).stdout
        self.assertRegex(out, rf"(?m)^  none +{text}$")
        done = self.lathe("emit", path, "--stage", "cuda", code=1)
        self.assertTrue(done.stderr.endswith(f"lathe: {text}\n"), done.stderr)

    def test_a_mistake_has_a_caret(self):
        path = self.write("bad.lathe", SUM.replace("q @ S", "q @ T"))
        done = self.lathe("check", path, code=1)
        self.assertEqual(done.stdout, "")
        self.assertIn(f"{path}:5:21: error: ", done.stderr)
        self.assertRegex(done.stderr, r"(?m)^ +\| +\^$")

    def test_a_mistake_in_one_file_leaves_the_others(self):
        path = self.write("bad.lathe", "variant")
        self.assertEqual(
            self.lathe("check", path, "gla", code=1).stdout, "gla: decay over K, scan\n"
        )

    def test_other_commands_print_the_same_mistake(self):
        path = self.write("bad.lathe", SUM.replace("q @ S", "q @ T"))
        checked = self.lathe("check", path, code=1).stderr
        self.assertEqual(self.lathe("explain", path, code=1).stderr, checked)
        self.assertEqual(self.lathe("emit", path, "--stage", "ir", code=1).stderr, checked)


class Explain(Case):
    def test_gla(self):
        out = self.lathe("explain", "gla", "--arch", "sm_90a").stdout
        for line in (
            "gla: decay over K, scan",
            "  scale = 1 / sqrt(K)",
            "  S[t] = exp(g) * S[t-1] + k * v",
            "  o = scale * (q @ S[t])",
        ):
            self.assertIn(f"{line}\n", out)
        self.assertRegex(out, r"(?m)^  family +scan$")
        self.assertRegex(out, r"(?m)^  log-decay +g   \[K\]$")
        self.assertRegex(out, r"(?m)^  roofline .* on H200 \(4.26 TB/s, 790 TFLOP/s, measured\)$")
        self.assertRegex(out, r"(?m)^  default +c\d+ b\d+ v\d+")

    def test_each_of_several_variants_in_turn(self):
        path = self.write("two.lathe", SUM + SUM.replace("total", "other"))
        heads = r"(?m)^(\w+): no decay, scan$"
        self.assertEqual(
            re.findall(heads, self.lathe("explain", path, path).stdout),
            ["total", "other", "total", "other"],
        )
        out = json.loads(self.lathe("explain", path, "--json").stdout)
        self.assertEqual([one["variant"] for one in out], ["total", "other"])
        bad = self.write("bad.lathe", "variant")
        done = self.lathe("explain", bad, path, code=1)
        self.assertIn("bad.lathe:1:", done.stderr)
        self.assertEqual(re.findall(heads, done.stdout), ["total", "other"])

    def test_the_whole_library(self):
        files = sorted((ROOT / "variants").glob("*.lathe"))
        out = self.lathe("explain", *files).stdout
        self.assertEqual(len(re.findall("(?m)^Normal form, ", out)), len(files))
        self.assertEqual(len(re.findall("(?m)^Gradient, ", out)), len(files))
        for line in out.splitlines():
            self.assertLessEqual(len(line), 160, line)

    def test_latex_is_the_formulas_alone(self):
        out = self.lathe("explain", "gla", "--latex").stdout
        self.assertTrue(out.startswith("% gla: decay over K, scan\n"))
        for row in (
            "\\begin{align*}",
            r"S_t &= e^{g_t} \odot S_{t-1} + k_t \otimes v_t \\",
            r"o_t &= \mathrm{scale} \, \left(q_t^\top S_t\right)",
            r"G_i &= \sum_{j \le i} g_j \\",
            r"\mathrm{d}k_t &= P_t v_t \\",
            "\\end{align*}",
        ):
            self.assertIn(f"\n{row}\n", out)
        self.assertEqual(out.count("\\begin{align*}"), 3)
        self.assertNotIn("roofline", out)
        done = self.lathe("explain", "gla", "--latex", "--json", code=2)
        self.assertIn("excludes", done.stderr)

    def test_the_forms_and_their_cost(self):
        out = self.lathe("explain", "gla", "--arch", "sm_90a").stdout
        for line in (
            "Chunk form, of token i of a chunk of C tokens, 0 the place before its first",
            "  A[i,j] = q[i] @ (k[j] * exp(G[i] - G[j]))   for j <= i",
            "Gradient, of one token and head: dx is that of the loss with respect to x",
            "  dS[t-1] = exp(g) * P",
        ):
            self.assertIn(f"{line}\n", out)
        cost = r"[\d.]+ kB and [\d.]+ kFLOP \([\d.]+ kFLOP in chunks of 64\)"
        self.assertRegex(out, rf"(?m)^  a token +{cost} for each head$")
        self.assertRegex(out, rf"(?m)^  its gradient +{cost}$")

    def test_a_running_maximum_is_explained(self):
        out = self.lathe("explain", "mlstm").stdout
        self.assertIn("  m[t] = max(m[t-1] + logsigmoid(f), max(i, 0))\n", out)
        self.assertRegex(out, r"(?m)^  stabiliser +m, a running maximum: ")

    def test_without_a_chunk_form_it_says_so(self):
        out = self.lathe("explain", "longhorn").stdout
        self.assertNotIn("\nChunk form,", out)
        self.assertRegex(out, r"(?m)^  chunk form +none: the variant runs token by token$")
        self.assertRegex(out, r"(?m)^  its gradient +[\d.]+ kB and [\d.]+ kFLOP$")

    def test_every_variant_as_json(self):
        for name in VARIANTS:
            out = json.loads(self.lathe("explain", name, "--json", "--arch", "sm_90a").stdout)
            self.assertEqual(out["variant"], name)
            self.assertEqual(out["chunk_form"], True, name)
            self.assertEqual(out["roles"] != {}, name != "gated_delta_net", name)
            self.assertGreater(out["roofline_us"], 0)
            for style in ("formulas", "latex"):
                self.assertEqual(set(out[style]), {"normal", "chunk", "gradient"})
                self.assertTrue(all(out[style].values()), name)
            self.assertGreater(out["gradient"]["flop"], 2 * out["token"]["flop"])
            self.assertGreater(out["gradient"]["bytes"], out["token"]["bytes"])
            self.assertIn("default", out["tiles"])

    def test_the_bytes_of_retnet(self):
        out = json.loads(self.lathe("explain", "retnet", "--json", "--shape", "8,4096,16").stdout)
        state = 8 * 16 * 128 * 128 * 4
        self.assertEqual(out["token"]["bytes"], 4 * 128 * 2)
        self.assertEqual(out["min_bytes"], 8 * 4096 * 16 * 4 * 128 * 2 + 16 * 4 + state)

    def test_a_step_reads_and_writes_its_states(self):
        arguments = ["explain", "retnet", "--json", "--shape", "64,1,32"]
        out = json.loads(self.lathe(*arguments).stdout)
        self.assertEqual(out["family"], "step")
        state = 64 * 32 * 128 * 128 * 4
        self.assertEqual(out["min_bytes"], 64 * 32 * 4 * 128 * 2 + 32 * 4 + 2 * state)

    def test_a_size_without_a_kernel_is_said(self):
        done = self.lathe("explain", "gla", "--dims", "K=512")
        self.assertRegex(done.stdout, r"(?m)^  none +variant 'gla': K = 512 has no kernel; sizes")

    def test_options_that_cannot_be_meant(self):
        for options, text in (
            (["--dims", "K=0"], "--dims K=0: 'K=0' is no size; write K=128,V=64"),
            (["--dims", "Q=8"], "--dims Q=8: variant gla has no dimension 'Q'; it has K, V"),
            (["--dtype", "f64"], "--dtype f64: 'f64' is no dtype; accepted are bf16, f16 and "
             "f32"),
            (["--dtype", "bf16,z=f32"], "--dtype bf16,z=f32: variant gla has no operand 'z'"),
            (["--shape", "8,4096"], "--shape 8,4096 is no shape; write batch, tokens, heads: "
             "8,4096,16"),
            (["--family", "sum"], "'sum' is no kernel family; accepted are scan, step and "
             "sequential"),
        ):
            done = self.lathe("explain", "gla", *options, code=2)
            self.assertEqual(done.stderr, f"lathe: {text}\n")
            self.assertEqual(done.stdout, "")

    def test_an_unknown_architecture(self):
        self.assertEqual(
            self.lathe("explain", "gla", "--arch", "sm_10", code=1).stderr,
            "lathe: architecture 'sm_10' is not known; known are sm_80, sm_86, sm_89, sm_90a, "
            "sm_100, sm_120\n",
        )


if __name__ == "__main__":
    unittest.main()
