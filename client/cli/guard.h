// The one place where exceptions of CLI11, yaml-cpp and nlohmann-json become statuses.
//
//   absl::StatusOr<YAML::Node> node = Guard([&] { return YAML::Load(text); });
//
// Errors: INVALID_ARGUMENT with line and column where the parser knows them. Thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_GUARD_H_
#define STOCKPOT_CLIENT_CLI_GUARD_H_

#include <yaml-cpp/exceptions.h>

#include <CLI/Error.hpp>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace stockpot::cli {

template <typename Function>
auto Guard(Function&& function) -> absl::StatusOr<decltype(function())> {
  try {
    return std::forward<Function>(function)();
  } catch (const YAML::Exception& error) {
    if (error.mark.is_null()) return absl::InvalidArgumentError(error.msg);
    return absl::InvalidArgumentError(absl::StrCat("line ", error.mark.line + 1, ", column ",
                                                   error.mark.column + 1, ": ", error.msg));
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 3, column 7: …": without the brackets.
    const std::string message = error.what();
    const size_t bracket = message.find("] ");
    return absl::InvalidArgumentError(
        message.substr(bracket == std::string::npos ? 0 : bracket + 2));
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_GUARD_H_
