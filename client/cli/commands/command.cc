#include "client/cli/commands/command.h"

#include <utility>

#include "client/cli/channel_security.h"

namespace stockpot::cli {

absl::StatusOr<int> AskServerAt(const Target& target, const CommonFlags& flags,
                                Environment& environment, const Command& command) {
  absl::StatusOr<ChannelSecurity> security = OpenChannelSecurity(target.security, target.server);
  if (!security.ok()) return security.status();
  Connection connection(
      {target.server, target.client, absl::Seconds(flags.timeout_seconds), *std::move(security),
       environment.traceparent, flags.verbose ? &environment.error : nullptr},
      environment.interruption);
  CommandContext context{flags, environment, connection};
  return command(context);
}

}  // namespace stockpot::cli
