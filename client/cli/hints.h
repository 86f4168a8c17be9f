// What to do about an error, by its reason: the list in proto/stockpot/v1/soup_service.proto, said
// to the person at the terminal. Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_HINTS_H_
#define STOCKPOT_CLIENT_CLI_HINTS_H_

#include "absl/strings/string_view.h"

namespace stockpot::cli {

// Empty when the reason is unknown or there is nothing to do.
absl::string_view WhatToDo(absl::string_view reason);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_HINTS_H_
