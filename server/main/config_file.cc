#include "server/main/config_file.h"

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

bool IsFlag(const CLI::Option& option) { return option.get_expected_min() == 0; }

bool MayBeRepeated(const CLI::Option& option) {
  return option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
}

}  // namespace

std::string YamlConfig::Place(int line) const {
  return absl::StrCat(app_->get_config_ptr()->as<std::string>(), ":", line + 1, ": ");
}

std::vector<CLI::ConfigItem> YamlConfig::from_config(std::istream& input) const {
  const auto fail = [this](const YAML::Mark& mark, const std::string& message) {
    throw CLI::ConversionError(Place(mark.line) + message);
  };
  std::string text{std::istreambuf_iterator<char>(input), {}};
  if (text.size() > kMaxBytes) fail(YAML::Mark(), "too large for a configuration file (1 MiB)");
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail(error.mark, error.msg);
  }
  if (root.IsNull()) return {};
  if (!root.IsMap()) fail(root.Mark(), "expected lines such as 'workers: 2'");
  std::vector<CLI::ConfigItem> found;
  std::set<std::string> seen;
  for (const auto& entry : root) {
    const YAML::Node key = entry.first, value = entry.second;
    if (!key.IsScalar()) fail(key.Mark(), "a key must be a flag's name");
    CLI::ConfigItem item;
    item.name = key.Scalar();
    const CLI::Option* option = app_->get_option_no_throw("--" + item.name);
    if (option == nullptr && unknown_ == Unknown::kSkip) continue;
    if (option == nullptr || !option->get_configurable()) {
      fail(key.Mark(), absl::StrCat("'", item.name, "' is not a flag that a file may give"));
    }
    if (!seen.insert(item.name).second) {
      fail(key.Mark(), absl::StrCat("'", item.name, "' is given twice"));
    }
    if (value.IsSequence() && MayBeRepeated(*option)) {
      for (const YAML::Node& element : value) {
        if (!element.IsScalar())
          fail(element.Mark(), absl::StrCat(item.name, ": expected a value"));
        item.inputs.push_back(element.Scalar());
      }
    } else if (value.IsScalar()) {
      item.inputs.push_back(value.Scalar());
    } else {
      fail(key.Mark(), absl::StrCat(item.name, ": expected one value"));
    }
    if (IsFlag(*option) && item.inputs[0] != "true" && item.inputs[0] != "false") {
      fail(value.Mark(), absl::StrCat(item.name, ": expected true or false"));
    }
    if (option->count() == 0) lines_["--" + item.name] = key.Mark().line;
    // CLI11 takes an empty list for a flag that lacks its value.
    if (!item.inputs.empty()) found.push_back(std::move(item));
  }
  return found;
}

std::string YamlConfig::PlaceOf(const std::string& message) const {
  for (const auto& [flag, line] : lines_) {
    const size_t at = message.find(flag);
    if (at == std::string::npos) continue;
    const size_t end = at + flag.size();
    const bool whole =
        end == message.size() || message[end] == ' ' || message[end] == ':' || message[end] == '=';
    if (whole) return Place(line);
  }
  return "";
}

std::optional<int> ParseOrExplain(CLI::App* app, const YamlConfig& file, int argc,
                                  const char* const* argv) {
  // CLI11 speaks in exceptions: help and version are two of them.
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& words) {
    return app->exit(words);
  } catch (const CLI::ParseError& error) {
    std::cerr << file.PlaceOf(error.what()) << error.what() << "\nRun " << app->get_name()
              << " --help for more information.\n";
    return kExitBadFlags;
  }
  return std::nullopt;
}

}  // namespace stockpot
