// stockpot completion: a shell's completion of this program.
#include "client/cli/completion.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/cli/commands/command.h"

namespace stockpot::cli {

void AddCompletionCommand(CLI::App& app, LocalCommand& chosen) {
  CLI::App* command = app.add_subcommand(
      "completion",
      "Print what completes this program in a shell: source <(stockpot completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  // Here all commands are known, and afterwards the app is gone.
  command->callback([&app, shell, &chosen] {
    chosen = [script = CompletionScript(app, *shell)](const CommonFlags&,
                                                      Environment& environment) {
      environment.out << script << std::flush;
      return kExitSuccess;
    };
  });
}

}  // namespace stockpot::cli
