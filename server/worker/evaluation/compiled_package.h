// What an AOTInductor package (.pt2, torch._inductor.aoti_compile_and_package) says of itself.
// Internal to evaluation/. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_COMPILED_PACKAGE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_COMPILED_PACKAGE_H_

#include <ATen/core/function_schema.h>
#include <c10/core/Device.h>

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Whether the file is such a package rather than a TorchScript module, which is a zip archive too.
// No code of it is run.
bool IsCompiledPackage(const std::string& path);

// One tensor of the model that was compiled, as `stockpot.tensors` of the package's metadata has
// it: a JSON object {NAME: {"dtype": "F32", "shape": [8, 4], "buffer": true, "same_as": NAME}}, the
// last two only where they say something. The compiler leaves out of its own list what forward()
// does not use and the further names of tied tensors; a checkpoint has them all the same.
struct CompiledTensor {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  bool is_buffer = false;
  std::string same_as;  // empty: a tensor of its own
};
using CompiledTensors = std::map<std::string, CompiledTensor>;

using PackageMetadata = std::unordered_map<std::string, std::string>;

// Nothing where the package has no such table. Errors: INVALID_ARGUMENT (ARCHITECTURE_INVALID).
absl::StatusOr<std::optional<CompiledTensors>> ParseCompiledTensors(
    const PackageMetadata& metadata);

// FAILED_PRECONDITION (ARCHITECTURE_INVALID) when its machine code is for another device than
// `device`, another card, or instructions that this processor does not have.
absl::Status CheckCompiledFor(const PackageMetadata& metadata, c10::Device device);

// The arguments of forward() from the serialized tree of inputs (get_call_spec()[0]): keyword ones
// as they are, positional ones by the metadata's `stockpot.arguments`, a JSON list of names, or
// else input_0, input_1, …. INVALID_ARGUMENT (ARCHITECTURE_INVALID) where an argument is no tensor.
absl::StatusOr<c10::FunctionSchema> ParseArguments(absl::string_view input_tree,
                                                   const PackageMetadata& metadata);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_COMPILED_PACKAGE_H_
