// What this release can do, for GetCapabilities. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CAPABILITIES_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CAPABILITIES_H_

#include <string>
#include <vector>

#include "server/control/job/engine.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// All but the limits.
v1::Capabilities MakeCapabilities(const std::string& version,
                                  const std::vector<Engine::WorkerView>& workers);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CAPABILITIES_H_
