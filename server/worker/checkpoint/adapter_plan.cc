#include "server/worker/checkpoint/adapter_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {
namespace {

enum class Role { kFactorA, kFactorB, kEmbeddingA, kEmbeddingB, kMagnitude, kAddedBias, kWhole };

struct Ending {
  absl::string_view text;
  Role role;
};
constexpr Ending kEndings[] = {
    {".lora_A.weight", Role::kFactorA},
    {".lora_B.weight", Role::kFactorB},
    {".lora_embedding_A", Role::kEmbeddingA},
    {".lora_embedding_B", Role::kEmbeddingB},
    {".lora_magnitude_vector", Role::kMagnitude},
    {".lora_magnitude_vector.weight", Role::kMagnitude},
    {".lora_B.bias", Role::kAddedBias},
};

struct AdapterTensor {
  std::string name;  // of the module; of a whole tensor its own
  Role role;
};

absl::StatusOr<AdapterTensor> Understand(absl::string_view name) {
  absl::string_view rest = name;
  absl::ConsumePrefix(&rest, "base_model.model.");
  for (const Ending& ending : kEndings) {
    if (absl::ConsumeSuffix(&rest, ending.text))
      return AdapterTensor{std::string(rest), ending.role};
  }
  if (absl::StrContains(rest, "lora_") || absl::StrContains(rest, "token_adapter") ||
      absl::StrContains(rest, ".parametrizations.")) {
    return AtTensor(name,
                    UnsupportedCheckpoint(
                        "is a part of an adapter that is not understood; merge it with peft's "
                        "merge_and_unload() and give that checkpoint"));
  }
  return AdapterTensor{
      absl::StrReplaceAll(rest, {{".base_layer.", "."}, {".modules_to_save.", "."}}), Role::kWhole};
}

// How the base calls what the adapter calls `module`: a wrapper's prefix may be missing on either
// side.
class BaseNames {
 public:
  BaseNames(const std::vector<TensorInfo>& base, const std::string& module) : base_(base) {
    std::string rest = module;
    while (true) {
      if (Has(rest + ".weight")) {
        dropped_ = module.substr(0, module.size() - rest.size());
        return;
      }
      const size_t dot = rest.find('.');
      if (dot == std::string::npos) break;
      rest.erase(0, dot + 1);
    }
    FindMissingPrefix(module);
  }

  std::string Of(const std::string& name) const {
    if (!dropped_.empty() && absl::StartsWith(name, dropped_)) return name.substr(dropped_.size());
    return added_ + name;
  }
  bool Has(const std::string& name) const { return FindTensor(base_, name).has_value(); }
  std::string Note() const {
    if (!dropped_.empty())
      return absl::StrCat("the adapter's prefix ", Quote(dropped_), " removed");
    return added_.empty() ? "" : absl::StrCat("prefix ", Quote(added_), " put before its names");
  }

 private:
  void FindMissingPrefix(const std::string& module) {
    const std::string ending = absl::StrCat(".", module, ".weight");
    std::vector<std::string> found;
    for (const TensorInfo& tensor : base_) {
      if (!absl::EndsWith(tensor.name, ending)) continue;
      found.push_back(tensor.name.substr(0, tensor.name.size() - ending.size() + 1));
    }
    if (found.size() == 1) added_ = found[0];
  }

  const std::vector<TensorInfo>& base_;
  std::string dropped_, added_;
};

absl::Status Mismatch(const std::string& name, absl::string_view message) {
  return WithMetadata(
      WithReason(absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(name), ": ", message)),
                 "CHECKPOINT_MISMATCH"),
      "tensor", name);
}

std::string ShapeOf(const TensorInfo& tensor) {
  return absl::StrCat(DTypeName(tensor.dtype), " [", absl::StrJoin(tensor.shape, ", "), "]");
}

double AlphaOf(const AdapterConfig& config, const std::string& module) {
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    const bool matches =
        pattern[0] == '^' ? module == pattern.substr(1)
                          : module == pattern || absl::EndsWith(module, absl::StrCat(".", pattern));
    if (matches) return alpha;
  }
  return config.alpha;
}

class Planner {
 public:
  Planner(const StateDict& base, const StateDict& adapter, const AdapterConfig& config)
      : base_(base.tensors()), adapter_(adapter.tensors()), config_(config) {}

  absl::StatusOr<AdapterPlan> Run() {
    std::vector<AdapterTensor> tensors;
    for (const TensorInfo& info : adapter_) {
      ASSIGN_OR_RETURN(AdapterTensor tensor, Understand(info.name));
      if (!IsFloatingPoint(info.dtype)) return Mismatch(info.name, "is no floating-point tensor");
      tensors.push_back(std::move(tensor));
    }
    const auto adapted = std::find_if(tensors.begin(), tensors.end(), [](const auto& tensor) {
      return tensor.role != Role::kWhole;
    });
    if (adapted == tensors.end()) return InvalidCheckpoint("the adapter adapts nothing");
    const BaseNames names(base_, adapted->name);
    if (!names.Note().empty()) plan_.notes.push_back(names.Note());
    for (size_t i = 0; i < tensors.size(); ++i) RETURN_IF_ERROR(Place(tensors[i], i, names));
    for (auto& [name, change] : plan_.changes) RETURN_IF_ERROR(Check(name, &change));
    return std::move(plan_);
  }

 private:
  absl::Status Place(const AdapterTensor& tensor, size_t index, const BaseNames& names) {
    const auto change = [&](absl::string_view leaf) -> TensorChange& {
      const std::string name = names.Of(absl::StrCat(tensor.name, leaf));
      modules_[name] = tensor.name;
      return plan_.changes[name];
    };
    switch (tensor.role) {
      case Role::kEmbeddingA:
        change(".weight").transposed = true;
        change(".weight").a = index;
        is_embedding_[names.Of(tensor.name + ".weight")] = true;
        break;
      case Role::kFactorA:
        change(".weight").a = index;
        break;
      case Role::kFactorB:
      case Role::kEmbeddingB:
        change(".weight").b = index;
        break;
      case Role::kMagnitude:
        change(".weight").magnitude = index;
        break;
      case Role::kAddedBias:
        change(".bias").added_bias = index;
        break;
      case Role::kWhole: {
        const std::string mapped = names.Of(tensor.name);
        plan_.changes[names.Has(mapped) ? mapped : tensor.name].replaced_by = index;
        break;
      }
    }
    return absl::OkStatus();
  }

  absl::Status Check(const std::string& name, TensorChange* change) {
    const auto found = FindTensor(base_, name);
    if (change->replaced_by.has_value()) {
      const TensorInfo& whole = adapter_[*change->replaced_by];
      if (found.has_value() && base_[*found].shape != whole.shape) {
        return Mismatch(name, absl::StrCat("the adapter has it as ", ShapeOf(whole),
                                           ", the base as ", ShapeOf(base_[*found])));
      }
      if (!found.has_value()) {
        plan_.notes.push_back(absl::StrCat("the adapter adds ", Quote(name)));
        if (change->a || change->b || change->magnitude || change->added_bias) {
          return Mismatch(name, "is adapted, but not in the base");
        }
        return absl::OkStatus();
      }
    }
    if (!found.has_value()) {
      return Mismatch(name,
                      "is adapted, but not in the base: is model.base_uri what the adapter "
                      "was trained from?");
    }
    const TensorInfo& info = base_[*found];
    if (!IsFloatingPoint(info.dtype)) return Mismatch(name, "is no floating-point tensor");
    if (change->added_bias.has_value()) {
      const TensorInfo& bias = adapter_[*change->added_bias];
      if (bias.shape != info.shape) return Misfit(name, bias, info);
      change->scale = ScaleOf(modules_[name], FactorRank(name));
    }
    if (!change->a && !change->b && !change->magnitude) return absl::OkStatus();
    return CheckFactors(name, info, change);
  }

  static absl::Status Misfit(const std::string& name, const TensorInfo& part,
                             const TensorInfo& info) {
    return Mismatch(name, absl::StrCat("the adapter's ", Quote(part.name), " is ", ShapeOf(part),
                                       ", which does not fit the base's ", ShapeOf(info)));
  }

  // Of the module that a bias belongs to.
  int64_t FactorRank(const std::string& bias_name) const {
    const std::string weight = absl::StrCat(absl::StripSuffix(bias_name, ".bias"), ".weight");
    const auto change = plan_.changes.find(weight);
    if (change == plan_.changes.end() || !change->second.a) return 1;
    return adapter_[*change->second.a].shape.empty() ? 1 : adapter_[*change->second.a].shape[0];
  }

  double ScaleOf(const std::string& module, int64_t rank) const {
    const auto r = static_cast<double>(std::max<int64_t>(rank, 1));
    return AlphaOf(config_, module) / (config_.rank_stabilized ? std::sqrt(r) : r);
  }

  absl::Status CheckFactors(const std::string& name, const TensorInfo& info, TensorChange* change) {
    if (!change->a || !change->b) return Mismatch(name, "has one factor of an adapter, not both");
    const TensorInfo& a = adapter_[*change->a];
    const TensorInfo& b = adapter_[*change->b];
    if (a.shape.size() < 2 || b.shape.size() != a.shape.size() || b.shape[1] != a.shape[0] ||
        a.shape[0] == 0 || info.shape.size() != a.shape.size()) {
      return Misfit(name, a, info);
    }
    const bool is_matrix = info.shape.size() == 2;
    const auto fits = [&](int64_t rows, int64_t columns) {
      return b.shape[0] == rows && a.shape[1] == columns;
    };
    const bool plain = fits(info.shape[0], info.shape[1]);
    const bool transposed = is_matrix && fits(info.shape[1], info.shape[0]);
    if (!change->transposed) {
      change->transposed = config_.transposed && transposed;
      if (!change->transposed && !plain) return Misfit(name, b, info);
    } else if (!transposed) {
      return Misfit(name, a, info);
    }
    if (!is_matrix && !(std::equal(a.shape.begin() + 1, a.shape.end(), info.shape.begin() + 1) &&
                        std::all_of(b.shape.begin() + 2, b.shape.end(),
                                    [](int64_t size) { return size == 1; }))) {
      return Misfit(name, a, info);
    }
    if (change->magnitude.has_value()) {
      const TensorInfo& magnitude = adapter_[*change->magnitude];
      if (!is_matrix || is_embedding_.count(name) > 0) {
        return AtTensor(name, UnsupportedCheckpoint("DoRA is read on linear layers only; merge the "
                                                    "adapter with peft's merge_and_unload()"));
      }
      if (magnitude.element_count() != b.shape[0]) return Misfit(name, magnitude, info);
    }
    change->scale = ScaleOf(modules_[name], a.shape[0]);
    return absl::OkStatus();
  }

  const std::vector<TensorInfo>& base_;
  const std::vector<TensorInfo>& adapter_;
  const AdapterConfig& config_;
  AdapterPlan plan_;
  std::map<std::string, std::string> modules_;  // the adapter's, by the tensor that it changes
  std::map<std::string, bool> is_embedding_;
};

}  // namespace

absl::StatusOr<AdapterPlan> PlanAdapter(const StateDict& base, const StateDict& adapter,
                                        const AdapterConfig& config) {
  return Planner(base, adapter, config).Run();
}

}  // namespace stockpot
