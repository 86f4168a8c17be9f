#include "server/worker/dataset/label_resolution.h"

#include <algorithm>
#include <limits>
#include <set>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// As labels.cc: "largest label + 1" fits 32 bits.
constexpr int64_t kLargestClass = std::numeric_limits<int32_t>::max() - 1;

absl::Status Invalid(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

bool IsDecimal(absl::string_view text) {
  const absl::string_view digits = text.substr(!text.empty() && text[0] == '-' ? 1 : 0);
  int64_t ignored;
  return !digits.empty() && absl::c_all_of(digits, absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, &ignored);
}

// Also "1.0" and "1e3", which are no classes.
bool IsNumber(absl::string_view text) {
  double ignored;
  return absl::SimpleAtod(text, &ignored) && text.find_first_of("0123456789") != text.npos;
}

int64_t ToNumber(absl::string_view text) {
  int64_t number = -1;
  return absl::SimpleAtoi(text, &number) ? number : -1;
}

// A label that occurs, and what becomes of it.
struct Label {
  std::string text;
  bool is_number = false;  // of the source's own: no name it is known by
  bool left_out = false;
  int64_t resolved = 0;
};

class Resolver {
 public:
  Resolver(const RawLabels& raw, const std::vector<std::string>& class_names,
           const std::function<std::string(size_t)>& name_of)
      : raw_(raw), class_names_(class_names), name_of_(name_of) {
    for (const int64_t number : raw.numbers) {
      if (labels_.count(number) != 0) continue;
      const bool named = static_cast<uint64_t>(number) < raw.names.size();
      labels_[number] = {named ? raw.names[static_cast<size_t>(number)] : absl::StrCat(number),
                         !named, false, 0};
    }
  }

  absl::StatusOr<std::vector<std::string>> Resolve(
      const std::map<std::string, std::string>& label_map) {
    bool in_order = raw_.in_order || raw_.names.empty();
    if (!label_map.empty()) {
      RETURN_IF_ERROR(Map(label_map));
      in_order = false;
    }
    if (!class_names_.empty()) {
      RETURN_IF_ERROR(FindAmongClassNames());
      return class_names_;
    }
    if (in_order) {
      for (auto& [number, label] : labels_) label.resolved = number;
      return raw_.names;
    }
    RETURN_IF_ERROR(CheckTexts());
    return NumberTexts();
  }

  const Label& Find(int64_t number) const { return labels_.at(number); }

 private:
  absl::Status Map(const std::map<std::string, std::string>& label_map) {
    for (auto& [number, label] : labels_) {
      auto found = label_map.find(label.text);
      // Names with an order have numbers that people know as well.
      if (found == label_map.end() && raw_.in_order) found = label_map.find(absl::StrCat(number));
      if (found == label_map.end()) {
        return Invalid(absl::StrCat("label '", label.text,
                                    "' is not in label_map: every label that occurs must be; map "
                                    "it to \"\" to leave its examples out"));
      }
      label.text = found->second;
      label.left_out = label.text.empty();
      label.is_number = false;
    }
    return absl::OkStatus();
  }

  absl::Status FindAmongClassNames() {
    std::map<absl::string_view, int64_t> positions;
    for (const std::string& name : class_names_) {
      if (!positions.emplace(name, static_cast<int64_t>(positions.size())).second) {
        return Invalid(absl::StrCat("a class name comes twice: '", name, "'"));
      }
    }
    for (auto& [number, label] : labels_) {
      if (label.left_out) continue;
      const auto found = positions.find(label.text);
      if (found != positions.end()) {
        label.resolved = found->second;
      } else if (label.is_number || IsDecimal(label.text)) {
        label.resolved = ToNumber(label.text);  // its range is looked at with its example
      } else {
        return Invalid(absl::StrCat("label '", label.text, "' is not among the class names"));
      }
    }
    return absl::OkStatus();
  }

  std::string FirstExampleOf(int64_t number) const {
    return name_of_(static_cast<size_t>(absl::c_find(raw_.numbers, number) - raw_.numbers.begin()));
  }

  absl::Status CheckTexts() const {
    const auto kept = [&](const auto& is) {
      return absl::c_find_if(labels_, [&](const auto& entry) {
        return !entry.second.left_out && is(entry.second.text);
      });
    };
    const auto empty = kept([](const std::string& text) { return text.empty(); });
    if (empty != labels_.end()) {
      return Invalid(absl::StrCat("the label of ", FirstExampleOf(empty->first),
                                  " is empty; label_map may leave its like out: {\"\": \"\"}"));
    }
    const auto name = kept([](const std::string& text) { return !IsDecimal(text); });
    const auto number = kept([](const std::string& text) { return IsNumber(text); });
    if (name == labels_.end() || number == labels_.end()) return absl::OkStatus();
    const auto quoted = [&](const auto& entry) {
      return absl::StrCat("'", entry->second.text, "' of ", FirstExampleOf(entry->first));
    };
    const std::string which =
        name == number ? quoted(name) : absl::StrCat(quoted(number), " and ", quoted(name));
    return Invalid(absl::StrCat("labels are whole numbers, or names, and not both: ", which,
                                "; class_names say the order of all, label_map what each means"));
  }

  // Texts without an order: numbers when all are, else names in byte order.
  std::vector<std::string> NumberTexts() {
    std::set<std::string> texts;
    for (const auto& [number, label] : labels_) {
      if (!label.left_out) texts.insert(label.text);
    }
    std::vector<std::string> names;
    const bool numbers = absl::c_all_of(texts, IsDecimal);
    if (!numbers) names.assign(texts.begin(), texts.end());
    for (auto& [number, label] : labels_) {
      label.resolved =
          numbers ? ToNumber(label.text) : absl::c_lower_bound(names, label.text) - names.begin();
    }
    return names;
  }

  const RawLabels& raw_;
  const std::vector<std::string>& class_names_;
  const std::function<std::string(size_t)>& name_of_;
  std::map<int64_t, Label> labels_;
};

absl::Status OutOfRange(const std::string& example, int64_t value, size_t names) {
  const std::string expected = names == 0
                                   ? "labels are class numbers from 0"
                                   : absl::StrCat("there are ", names, " classes, numbered from 0");
  return WithMetadata(WithReason(absl::InvalidArgumentError(absl::StrCat(
                                     "label of ", example, " is ", value, ": ", expected)),
                                 "LABEL_OUT_OF_RANGE"),
                      "example", example);
}

}  // namespace

void TextLabels::Add(absl::string_view text) {
  const auto next = static_cast<int64_t>(labels_.names.size());
  const auto [found, is_new] = known_.try_emplace(std::string(text), next);
  if (is_new) labels_.names.emplace_back(text);
  labels_.numbers.push_back(found->second);
}

absl::StatusOr<ResolvedLabels> ResolveLabels(const RawLabels& raw,
                                             const std::vector<std::string>& class_names,
                                             const std::map<std::string, std::string>& label_map,
                                             const std::function<std::string(size_t)>& name_of) {
  ResolvedLabels resolved;
  Resolver resolver(raw, class_names, name_of);
  ASSIGN_OR_RETURN(resolved.class_names, resolver.Resolve(label_map));
  const size_t names = resolved.class_names.size();
  const int64_t end = names == 0 ? kLargestClass + 1 : static_cast<int64_t>(names);
  resolved.classes.reserve(raw.numbers.size());
  for (size_t i = 0; i < raw.numbers.size(); ++i) {
    const Label& label = resolver.Find(raw.numbers[i]);
    if (!label.left_out && (label.resolved < 0 || label.resolved >= end)) {
      return OutOfRange(name_of(i), label.resolved, names);
    }
    resolved.classes.push_back(label.left_out ? ResolvedLabels::kLeftOut : label.resolved);
  }
  return resolved;
}

}  // namespace stockpot
