// The fields of a message that say where something is: `architecture_uri`, `uri`, `uri_pattern`, …
// Found by reflection, so that none which the API gets later is forgotten. Thread safety:
// thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_PLACES_H_
#define STOCKPOT_CLIENT_CLI_PLACES_H_

#include <google/protobuf/message.h>

#include <functional>
#include <string>

namespace stockpot::cli {

// Replaces every one that is given, in `message` and below, by what `change` makes of it.
void ForEachPlace(google::protobuf::Message& message,
                  const std::function<std::string(const std::string&)>& change);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PLACES_H_
