#include "server/worker/evaluation/compiled_package.h"

#include <ATen/core/jit_type.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checked_shape.h"
#include "server/worker/checkpoint/zip_archive.h"
#include "server/worker/evaluation/architecture.h"
#include "server/worker/evaluation/cuda_driver.h"

namespace stockpot {
namespace {

constexpr uint64_t kMaxEntries = 100'000;
constexpr char kTensors[] = "stockpot.tensors";
constexpr char kArguments[] = "stockpot.arguments";

// Empty where there is no such entry.
std::string Find(const PackageMetadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

absl::Status WrongDevice(absl::string_view compiled_for, absl::string_view here) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "the package was compiled for ", compiled_for, ", but this worker has ", here,
          ": compile it there (stockpot.export with compile=True), or give TorchScript")),
      "ARCHITECTURE_INVALID");
}

absl::Status BadTable(absl::string_view name, absl::string_view what) {
  return InvalidArchitecture(
      absl::StrCat("the package's metadata ", kTensors, ": tensor '", name, "' ", what));
}

absl::StatusOr<CompiledTensor> ParseTensor(const std::string& name, const Json& json) {
  JsonReader reader(json, name);
  std::string dtype;
  CompiledTensor tensor;
  reader.Read("dtype", &dtype);
  reader.Read("shape", &tensor.shape);
  reader.Read("buffer", &tensor.is_buffer);
  reader.Read("same_as", &tensor.same_as);
  if (!reader.violations().empty()) return BadTable(name, "has fields of another type");
  const absl::StatusOr<DType> parsed = ParseDType(dtype);
  if (!parsed.ok()) return BadTable(name, parsed.status().message());
  tensor.dtype = *parsed;
  const absl::Status shape = CheckShape(tensor.dtype, tensor.shape, CheckpointLimits());
  if (!shape.ok()) return BadTable(name, shape.message());
  return tensor;
}

absl::Status CheckSameAs(const CompiledTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (tensor.same_as.empty()) continue;
    const auto other = tensors.find(tensor.same_as);
    if (other == tensors.end() || !other->second.same_as.empty() ||
        other->second.shape != tensor.shape || other->second.dtype != tensor.dtype) {
      return BadTable(name, absl::StrCat("cannot be the same as '", tensor.same_as, "'"));
    }
  }
  return absl::OkStatus();
}

bool IsLeaf(const Json& tree) {
  const auto type = tree.find("type");
  return tree.is_object() && type != tree.end() && type->is_null();
}

// The children of a tree of that type; nothing when it is none.
const Json* ChildrenOf(const Json& tree, absl::string_view type) {
  if (!tree.is_object() || !tree.contains("type") || tree["type"] != std::string(type))
    return nullptr;
  const auto children = tree.find("children_spec");
  return children != tree.end() && children->is_array() ? &*children : nullptr;
}

// Of a JSON list of strings; nothing where the text is another.
std::optional<std::vector<std::string>> ParseNames(absl::string_view text) {
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok() || !json->is_array()) return {};
  std::vector<std::string> names;
  for (const Json& name : *json) {
    if (!name.is_string()) return {};
    names.push_back(name.get<std::string>());
  }
  return names;
}

// Of the keyword arguments; nothing where the tree is another.
std::optional<std::vector<std::string>> KeywordsOf(const Json& tree) {
  if (!tree.is_object() || !tree.contains("context") || !tree["context"].is_string()) return {};
  return ParseNames(tree["context"].get_ref<const std::string&>());
}

// In their order; nothing where the metadata's are not so many.
std::optional<std::vector<std::string>> NamePositional(size_t count,
                                                       const PackageMetadata& metadata) {
  const std::string said = Find(metadata, kArguments);
  if (!said.empty()) {
    auto names = ParseNames(said);
    return names.has_value() && names->size() == count ? std::move(names) : std::nullopt;
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(absl::StrCat("input_", i));
  return names;
}

bool AllLeaves(const Json& children) {
  return std::all_of(children.begin(), children.end(), IsLeaf);
}

}  // namespace

bool IsCompiledPackage(const std::string& path) {
  const auto file = MappedFile::Open(path);
  if (!file.ok()) return false;
  const auto archive = ZipArchive::Open((*file)->bytes(), kMaxEntries);
  if (!archive.ok()) return false;
  return std::any_of(
      archive->entries().begin(), archive->entries().end(),
      [](const ZipEntry& entry) { return absl::StrContains(entry.name, "data/aotinductor/"); });
}

absl::StatusOr<std::optional<CompiledTensors>> ParseCompiledTensors(
    const PackageMetadata& metadata) {
  const std::string text = Find(metadata, kTensors);
  if (text.empty()) return std::optional<CompiledTensors>();
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok() || !json->is_object()) {
    return InvalidArchitecture(
        absl::StrCat("the package's metadata ", kTensors, " is no JSON object"));
  }
  CompiledTensors tensors;
  for (const auto& [name, value] : json->items()) {
    ASSIGN_OR_RETURN(tensors[name], ParseTensor(name, value));
  }
  RETURN_IF_ERROR(CheckSameAs(tensors));
  return std::optional<CompiledTensors>(std::move(tensors));
}

absl::Status CheckCompiledFor(const PackageMetadata& metadata, c10::Device device) {
  const std::string key = Find(metadata, "AOTI_DEVICE_KEY");
  const std::string kind = device.is_cuda() ? "cuda" : "cpu";
  if (!key.empty() && key != kind) return WrongDevice(key, kind);
  if (device.is_cuda()) {
    const CudaCard card = DescribeCard(device.index());
    const std::string capability = Find(metadata, "AOTI_COMPUTE_CAPABILITY");
    const std::string here = absl::StrCat(card.major, card.minor);
    if (capability.empty() || capability == here) return absl::OkStatus();
    return WrongDevice(absl::StrCat("compute capability ", capability), here);
  }
  const std::string instructions = absl::AsciiStrToLower(Find(metadata, "AOTI_CPU_ISA"));
  const bool wants_512 =
      absl::StrContains(instructions, "avx512") || absl::StrContains(instructions, "amx");
  if (wants_512 && !__builtin_cpu_supports("avx512f")) {
    return WrongDevice(instructions, "no AVX-512");
  }
  if (absl::StrContains(instructions, "avx2") && !__builtin_cpu_supports("avx2")) {
    return WrongDevice(instructions, "no AVX2");
  }
  return absl::OkStatus();
}

absl::StatusOr<c10::FunctionSchema> ParseArguments(absl::string_view input_tree,
                                                   const PackageMetadata& metadata) {
  const absl::Status unknown = InvalidArchitecture(
      "the package's inputs are not tensors as arguments of forward() one by one");
  const absl::StatusOr<Json> tree = ParseJson(input_tree);
  // [version, tree]
  if (!tree.ok() || !tree->is_array() || tree->size() != 2) return unknown;
  const Json* const both = ChildrenOf((*tree)[1], "builtins.tuple");
  if (both == nullptr || both->size() != 2) return unknown;
  const Json* const positional = ChildrenOf((*both)[0], "builtins.tuple");
  const Json* const keyword = ChildrenOf((*both)[1], "builtins.dict");
  if (positional == nullptr || keyword == nullptr) return unknown;
  const auto names = KeywordsOf((*both)[1]);
  if (!names.has_value() || names->size() != keyword->size()) return unknown;
  if (!AllLeaves(*positional) || !AllLeaves(*keyword)) return unknown;

  auto all = NamePositional(positional->size(), metadata);
  if (!all.has_value()) {
    return InvalidArchitecture(absl::StrCat("the package's metadata ", kArguments,
                                            " does not name its ", positional->size(),
                                            " arguments"));
  }
  all->insert(all->end(), names->begin(), names->end());

  std::vector<c10::Argument> arguments = {c10::Argument("self", c10::AnyType::get())};
  for (const std::string& name : *all) arguments.emplace_back(name, c10::TensorType::get());
  return c10::FunctionSchema("forward", "", std::move(arguments), {});
}

}  // namespace stockpot
