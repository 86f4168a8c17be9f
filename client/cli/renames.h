// Rules that rename tensors, as flags have them: "model.*=*". Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_RENAMES_H_
#define STOCKPOT_CLIENT_CLI_RENAMES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "stockpot/v1/spec.pb.h"

namespace stockpot::cli {

inline constexpr char kStateDictKeyHelp[] =
    "The key that torch.save files hold the weights under, such as state_dict_ema";
inline constexpr char kRenameHelp[] =
    "New names for tensors, such as 'model.*=*'; the first rule that matches counts";

// Errors: INVALID_ARGUMENT, no "=".
absl::Status AddRenames(const std::vector<std::string>& rules,
                        google::protobuf::RepeatedPtrField<v1::TensorRename>* renames);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_RENAMES_H_
