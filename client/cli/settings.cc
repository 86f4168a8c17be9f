#include "client/cli/settings.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/document.h"
#include "client/cli/errors.h"
#include "client/cli/job_file.h"
#include "client/cli/paths.h"

namespace stockpot::cli {
namespace {

constexpr size_t kMostSteps = 32;

// The element "[INDEX]…" of a list, which is made where it is the next one. `rest`: what follows.
absl::StatusOr<nlohmann::json*> Element(nlohmann::json* list, absl::string_view& rest) {
  const size_t end = rest.find(']');
  size_t index = 0;
  if (end == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(1, end - 1), &index)) {
    return absl::InvalidArgumentError("expected [INDEX]");
  }
  rest.remove_prefix(end + 1);
  if (list->is_null()) *list = nlohmann::json::array();
  if (!list->is_array()) return absl::InvalidArgumentError("is no list");
  if (index > list->size()) {
    return absl::InvalidArgumentError(absl::StrCat("the list has ", list->size(), " elements"));
  }
  if (index == list->size()) list->push_back(nullptr);
  return &(*list)[index];
}

// Where "a.b[2].c" is, made on the way.
absl::StatusOr<nlohmann::json*> Find(nlohmann::json* node, absl::string_view path) {
  const std::vector<absl::string_view> steps = absl::StrSplit(path, '.');
  if (steps.size() > kMostSteps) return absl::InvalidArgumentError("is no field");
  for (absl::string_view step : steps) {
    const size_t name_end = std::min(step.find('['), step.size());
    const std::string name(step.substr(0, name_end));
    if (name.empty()) return absl::InvalidArgumentError("expected FIELD.FIELD[INDEX]…=VALUE");
    if (node->is_null()) *node = nlohmann::json::object();
    if (!node->is_object()) return absl::InvalidArgumentError("has no fields below it");
    node = &(*node)[name];
    for (step.remove_prefix(name_end); !step.empty();) {
      absl::StatusOr<nlohmann::json*> element =
          step[0] == '[' ? Element(node, step) : absl::InvalidArgumentError("expected [INDEX]");
      if (!element.ok()) return element.status();
      node = *element;
    }
  }
  return node;
}

absl::Status Apply(absl::string_view path, const std::string& value, nlohmann::json* spec) {
  absl::StatusOr<Document> parsed = value.empty() ? Document() : ParseYaml(value);
  if (!parsed.ok()) return parsed.status();
  const absl::StatusOr<nlohmann::json*> node = Find(spec, path);
  if (!node.ok()) return node.status();
  **node = std::move(parsed->root);
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplySettings(const std::vector<std::string>& settings, v1::Job& job) {
  if (settings.empty()) return absl::OkStatus();
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(job.spec(), &text, options).ok()) {
    return absl::InternalError("the job cannot be written as JSON");
  }
  nlohmann::json spec = nlohmann::json::parse(text);
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    absl::Status status = absl::InvalidArgumentError("expected FIELD=VALUE");
    if (equals != std::string::npos) {
      status = Apply(setting.substr(0, equals), setting.substr(equals + 1), &spec);
    }
    if (!status.ok()) return Annotate(status, absl::StrCat("--set ", setting));
  }
  absl::StatusOr<v1::Job> changed = ReadJobDocument({std::move(spec), {}}, AbsolutePath("."));
  if (!changed.ok()) return Annotate(changed.status(), "--set");
  *job.mutable_spec() = std::move(*changed->mutable_spec());
  return absl::OkStatus();
}

}  // namespace stockpot::cli
