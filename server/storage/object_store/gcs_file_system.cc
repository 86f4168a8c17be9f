#include <arrow/filesystem/gcsfs.h>

#include <cstdlib>

#include "server/base/status.h"
#include "server/storage/object_store/arrow_errors.h"
#include "server/storage/object_store/client_environment.h"
#include "server/storage/object_store/file_systems.h"
#include "server/storage/object_store_access.h"

namespace stockpot {
namespace {

// Trying again is written once, in storage/: the library's 15 minutes become one try, or two.
constexpr double kGcsRetrySeconds = 1;

}  // namespace

absl::StatusOr<ArrowFileSystem> OpenGcs(const RemoteAccess& access) {
  ASSIGN_OR_RETURN(const ObjectStoreEndpoint endpoint,
                   ParseObjectStoreEndpoint(access.gcs_endpoint, "--gcs_endpoint"));
  SetClientEnvironment(access);
  if (!access.gcs_credentials_file.empty()) {
    // By the library's own way in, because it reads more kinds of files there than by any other.
    setenv("GOOGLE_APPLICATION_CREDENTIALS", access.gcs_credentials_file.c_str(), 1);
  }
  arrow::fs::GcsOptions options =
      access.gcs_anonymous ? arrow::fs::GcsOptions::Anonymous() : arrow::fs::GcsOptions::Defaults();
  options.scheme = endpoint.scheme;
  options.endpoint_override = endpoint.authority;
  options.retry_limit_seconds = kGcsRetrySeconds;
  auto file_system = arrow::fs::GcsFileSystem::Make(options);
  RETURN_IF_ERROR(FromGcs(file_system.status(), "gs"));
  return ArrowFileSystem(*std::move(file_system));
}

}  // namespace stockpot
