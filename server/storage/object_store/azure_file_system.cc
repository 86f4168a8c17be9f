#include <arrow/filesystem/azurefs.h>

#include "server/base/status.h"
#include "server/storage/object_store/arrow_errors.h"
#include "server/storage/object_store/client_environment.h"
#include "server/storage/object_store/file_systems.h"
#include "server/storage/object_store_access.h"

namespace stockpot {
namespace {

absl::Status AddAzureCredentials(const RemoteAccess& access, arrow::fs::AzureOptions* options) {
  ASSIGN_OR_RETURN(const AzureSecret secret, ReadAzureSecret(access));
  const arrow::Status status =
      access.azure_anonymous        ? options->ConfigureAnonymousCredential()
      : !secret.account_key.empty() ? options->ConfigureAccountKeyCredential(secret.account_key)
      : !secret.sas_token.empty()   ? options->ConfigureSASCredential(secret.sas_token)
                                    : options->ConfigureDefaultCredential();
  // What the library says may repeat a secret.
  return status.ok()
             ? absl::OkStatus()
             : absl::InvalidArgumentError("the operator's Azure credentials cannot be used");
}

}  // namespace

absl::StatusOr<ArrowFileSystem> OpenAzure(const RemoteAccess& access) {
  ASSIGN_OR_RETURN(const ObjectStoreEndpoint endpoint,
                   ParseObjectStoreEndpoint(access.azure_endpoint, "--azure_endpoint"));
  SetClientEnvironment(access);
  arrow::fs::AzureOptions options;
  options.account_name = access.azure_account;
  options.background_writes = false;  // in the background they would fill the memory
  if (!endpoint.authority.empty()) {
    options.blob_storage_authority = options.dfs_storage_authority = endpoint.authority;
    options.blob_storage_scheme = options.dfs_storage_scheme = endpoint.scheme;
  }
  RETURN_IF_ERROR(AddAzureCredentials(access, &options));
  auto file_system = arrow::fs::AzureFileSystem::Make(options);
  RETURN_IF_ERROR(FromAzure(file_system.status(), "abfs"));
  return ArrowFileSystem(*std::move(file_system));
}

}  // namespace stockpot
