// Compares a tree with a message's descriptor before protobuf parses it, because protobuf's own
// errors name neither the whole path nor all that is wrong.
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_FIELD_CHECK_H_
#define STOCKPOT_CLIENT_CLI_FIELD_CHECK_H_

#include <google/protobuf/descriptor.h>

#include <vector>

#include "client/cli/document.h"
#include "client/cli/errors.h"

namespace stockpot::cli {

// Every unknown field, wrong type, unknown enum value, and choice made twice, in the order of the
// tree; with the place in the file where it is known.
std::vector<FieldProblem> CheckFields(const Document& document,
                                      const google::protobuf::Descriptor* type);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_FIELD_CHECK_H_
