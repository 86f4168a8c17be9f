// stockpot context list, use, set, delete: the servers that the user knows by name.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/contexts.h"
#include "client/cli/paths.h"
#include "client/cli/table.h"

namespace stockpot::cli {
namespace {

absl::StatusOr<int> Write(const Contexts& contexts, const CommonFlags& common,
                          Environment& environment, const std::string& words) {
  absl::Status status = WriteContexts(environment.context_file, contexts);
  if (!status.ok()) return status;
  if (!common.quiet) environment.out << words << std::endl;
  return kExitSuccess;
}

absl::StatusOr<int> List(const Contexts& contexts, const CommonFlags& common,
                         Environment& environment) {
  Table table({"", "NAME", "SERVER", "CLIENT", "TLS", "TOKEN FILE"});
  for (const auto& [name, target] : contexts.targets) {
    const bool current = name == contexts.current;
    const bool tls = UsesTls(target.security);
    if (common.json) {
      environment.out << nlohmann::json{{"name", name},
                                        {"server", target.server},
                                        {"client", target.client},
                                        {"tls", tls},
                                        {"token_file", target.security.token_file},
                                        {"current", current}}
                             .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                      << "\n";
    }
    table.AddRow({current ? "*" : "", name, target.server, target.client, tls ? "yes" : "no",
                  target.security.token_file});
  }
  if (!common.json && !contexts.targets.empty()) {
    environment.out << table.Render(Style(environment.colour));
  }
  environment.out << std::flush;
  return kExitSuccess;
}

absl::StatusOr<int> Use(Contexts contexts, const std::string& name, const CommonFlags& common,
                        Environment& environment) {
  const absl::StatusOr<Target> target = FindContext(contexts, name);
  if (!target.ok()) return target.status();
  contexts.current = name;
  return Write(contexts, common, environment,
               absl::StrCat("now at ", target->server, " unless told otherwise"));
}

absl::StatusOr<int> Set(Contexts contexts, const std::string& name, const CommonFlags& common,
                        Environment& environment) {
  Target target = common.target;
  for (std::string* path : {&target.security.ca_file, &target.security.certificate_file,
                            &target.security.key_file, &target.security.token_file}) {
    if (!path->empty()) *path = AbsolutePath(*path);
  }
  if (target.server.empty()) {
    return absl::InvalidArgumentError("--server says what the context is: HOST:PORT or unix:PATH");
  }
  contexts.targets[name] = target;
  if (contexts.targets.size() == 1) contexts.current = name;
  return Write(contexts, common, environment,
               absl::StrCat(name, ": ", target.server,
                            contexts.current == name
                                ? ""
                                : absl::StrCat("; to use it: stockpot context use ", name)));
}

absl::StatusOr<int> Delete(Contexts contexts, const std::string& name, const CommonFlags& common,
                           Environment& environment) {
  const absl::StatusOr<Target> target = FindContext(contexts, name);
  if (!target.ok()) return target.status();
  contexts.targets.erase(name);
  if (contexts.current == name) contexts.current.clear();
  return Write(contexts, common, environment, absl::StrCat(name, ": deleted"));
}

}  // namespace

void AddContextCommand(CLI::App& app, LocalCommand& chosen) {
  CLI::App* command = app.add_subcommand(
      "context", "Servers by name, in $XDG_CONFIG_HOME/stockpot/contexts.yaml (~/.config)");
  command->require_subcommand(1);
  command->add_subcommand("list", "Show them; * is the current one")->callback([&chosen] {
    chosen = [](const CommonFlags& common, Environment& environment) -> absl::StatusOr<int> {
      const absl::StatusOr<Contexts> contexts = ReadContexts(environment.context_file);
      if (!contexts.ok()) return contexts.status();
      return List(*contexts, common, environment);
    };
  });
  struct Entry {
    const char* name;
    const char* help;
    absl::StatusOr<int> (*run)(Contexts, const std::string&, const CommonFlags&, Environment&);
  };
  constexpr Entry kEntries[] = {
      {"use", "Make one the current one: commands that name no server ask it", Use},
      {"set",
       "Make or replace one, with --server, --client, --tls, --ca-file, "
       "--certificate-file, --key-file and --token-file. The file never holds a token itself",
       Set},
      {"delete", "Forget one", Delete},
  };
  for (const Entry& entry : kEntries) {
    CLI::App* action = command->add_subcommand(entry.name, entry.help);
    const auto name = std::make_shared<std::string>();
    action->add_option("name", *name)->required()->type_name("NAME");
    action->callback([name, run = entry.run, &chosen] {
      chosen = [name, run](const CommonFlags& common,
                           Environment& environment) -> absl::StatusOr<int> {
        absl::StatusOr<Contexts> contexts = ReadContexts(environment.context_file);
        if (!contexts.ok()) return contexts.status();
        return run(*std::move(contexts), *name, common, environment);
      };
    });
  }
}

}  // namespace stockpot::cli
