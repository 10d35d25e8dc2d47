# Runs the .mlir files of this folder: lathe-opt is %lathe_opt, FileCheck is %check.
import lit.formats

config.name = "lathe"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_exec_root = lit_config.params["output"]
config.substitutions += [
    ("%lathe_opt", lit_config.params["lathe_opt"]),
    ("%check", lit_config.params["filecheck"]),
]
