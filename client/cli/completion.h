// Scripts that complete `stockpot` in a shell, made of the program's own commands, flags and words.
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_COMPLETION_H_
#define STOCKPOT_CLIENT_CLI_COMPLETION_H_

#include <CLI/App.hpp>
#include <string>

namespace stockpot::cli {

// `shell` is bash, zsh or fish. Flags and commands are completed, the words of flags that take one
// of a few, and else names of files.
std::string CompletionScript(const CLI::App& app, const std::string& shell);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_COMPLETION_H_
