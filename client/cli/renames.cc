#include "client/cli/renames.h"

#include "absl/strings/str_cat.h"

namespace stockpot::cli {

absl::Status AddRenames(const std::vector<std::string>& rules,
                        google::protobuf::RepeatedPtrField<v1::TensorRename>* renames) {
  for (const std::string& rule : rules) {
    const size_t equals = rule.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--rename ", rule, ": give PATTERN=NAME, such as 'model.*=*'"));
    }
    v1::TensorRename& rename = *renames->Add();
    rename.set_pattern(rule.substr(0, equals));
    rename.set_replacement(rule.substr(equals + 1));
  }
  return absl::OkStatus();
}

}  // namespace stockpot::cli
