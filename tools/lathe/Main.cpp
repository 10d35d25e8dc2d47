// lathe: the command line.
#include "tools/lathe/Command.h"

#include <iostream>

namespace lathe::tool {

CLI::App* addCommand(CLI::App& app, const std::string& name, const std::string& summary,
                     const std::string& examples) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->footer("Examples:\n" + examples);
  return command;
}

static int run(const Action& action) {
  try {
    return action();
  } catch (const Reported&) {
    return exitFailed;
  } catch (const UsageError& error) {
    std::cerr << "lathe: " << error.what() << "\n";
    return exitUsage;
  } catch (const std::bad_alloc&) {
    std::cerr << "lathe: out of memory; take a smaller shape\n";
    return exitFailed;
  } catch (const std::exception& error) {
    std::cerr << "lathe: " << error.what() << "\n";
    return exitFailed;
  }
}

static int main(int argc, char** argv) {
  CLI::App app(
      "Lathe turns the written recurrence of a linear-attention variant into GPU kernels.\n"
      "FILE is a .lathe file, or the name of a variant of the library, such as gla.",
      "lathe");
  app.set_version_flag("--version", "lathe " LATHE_VERSION " (" LATHE_COMMIT ")");
  app.require_subcommand(1);
  app.footer("lathe COMMAND --help shows examples. Exit codes: 0 done, 1 a mistake in the spec or\n"
             "something is missing (stderr says what), 2 the command line.");
  Action action;
  addCheck(app, action);
  addExplain(app, action);
  addEmit(app, action);
  addRun(app, action);
  addTune(app, action);
  addBench(app, action);
  addCache(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : exitUsage;
  }
  return run(action);
}

}  // namespace lathe::tool

int main(int argc, char** argv) { return lathe::tool::main(argc, argv); }
