// stockpotd's configuration file: YAML whose keys are the flags' names.
//
//   listen: 127.0.0.1:8433
//   workers: 4
//   allowed_root: [/data, /scratch]     # a list where the flag may be given many times
//   drain_timeout: 30s
//
// Given as --config=FILE. A flag on the command line wins over the file. stockpot-worker reads the
// same file, and skips what it has no flag for: that is stockpotd's to check. Thread safety:
// confined to one thread.
#ifndef STOCKPOT_SERVER_MAIN_CONFIG_FILE_H_
#define STOCKPOT_SERVER_MAIN_CONFIG_FILE_H_

#include <CLI/App.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stockpot {

// Reads the file for CLI11. Unknown and repeated keys, lists where one value is wanted and the like
// end in a CLI::ConversionError that names file and line.
class YamlConfig final : public CLI::Config {
 public:
  enum class Unknown { kRefuse, kSkip };  // keys that are no flags of the program
  // `app` must outlive the reader.
  explicit YamlConfig(const CLI::App* app, Unknown unknown = Unknown::kRefuse)
      : app_(app), unknown_(unknown) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

  // "file:line: " of the flag that `message` is about, when its value came from the file; else "".
  std::string PlaceOf(const std::string& message) const;

 private:
  std::string Place(int line) const;

  const CLI::App* const app_;
  const Unknown unknown_;
  mutable std::map<std::string, int> lines_;  // by "--flag": those that the file decides
};

// The command line or the file cannot be used.
inline constexpr int kExitBadFlags = 2;

// Parses the command line, and the file that it may name. A value: exit with it, for help, the
// version or what is wrong was printed.
std::optional<int> ParseOrExplain(CLI::App* app, const YamlConfig& file, int argc,
                                  const char* const* argv);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_CONFIG_FILE_H_
