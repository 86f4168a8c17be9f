// What Google's and Azure's libraries take from the process' environment and from nowhere else.
// Thread safety: the function is called before other threads start.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_CLIENT_ENVIRONMENT_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_CLIENT_ENVIRONMENT_H_

#include "server/storage/remote_files.h"

namespace stockpot {

// Certificate authorities and proxy as `access` says; the environment's own proxy is taken away,
// which no store here uses. Every other client of this process is told of both explicitly.
void SetClientEnvironment(const RemoteAccess& access);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_CLIENT_ENVIRONMENT_H_
