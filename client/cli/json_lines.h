// Output for scripts: one JSON object a line, the protos' JSON mapping with the protos' field names
// and with defaults written out. Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_JSON_LINES_H_
#define STOCKPOT_CLIENT_CLI_JSON_LINES_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"

namespace stockpot::cli {

// Without a line break. A message that has no JSON form gives an object with its `problem`.
std::string ToJson(const google::protobuf::Message& message);
// {"KEY":…}: what tells the lines of a stream apart.
std::string ToJson(absl::string_view key, const google::protobuf::Message& message);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_JSON_LINES_H_
