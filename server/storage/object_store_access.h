// What an operator says about object stores, read and checked: without connecting to anybody, and
// without the libraries that do. object_store/ makes stores of it. Internal to storage/.
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ACCESS_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ACCESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/remote_files.h"

namespace stockpot {

// A server's address, as libraries of object stores want it.
struct ObjectStoreEndpoint {
  std::string scheme;     // "http" or "https"
  std::string authority;  // HOST[:PORT]; "": the provider's own
};

struct S3Credentials {
  std::string access_key, secret_key;
  std::string session_token;  // "": none
};

// One of them, or neither: Azure's default chain, or none at all.
struct AzureSecret {
  std::string account_key, sas_token;
};

// Whether the flags of object stores can be used. Errors: INVALID_ARGUMENT and those of reading
// files, naming the flag; none repeats what a file holds.
absl::Status CheckObjectStoreAccess(const RemoteAccess& access);

// `flag`'s value: "http[s]://HOST[:PORT]", or "". Errors: INVALID_ARGUMENT, naming the flag.
absl::StatusOr<ObjectStoreEndpoint> ParseObjectStoreEndpoint(const std::string& text,
                                                             absl::string_view flag);

// The profile of access.s3_credentials_file, which must be given. Errors: as
// CheckObjectStoreAccess. Source: the file's format is that of the AWS tools,
// https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html
absl::StatusOr<S3Credentials> ReadS3Credentials(const RemoteAccess& access);

// Of the files that `access` names. Errors: as CheckObjectStoreAccess.
absl::StatusOr<AzureSecret> ReadAzureSecret(const RemoteAccess& access);

// Whether anything below `scheme`:// may be read or written.
bool IsUsed(const RemoteAccess& access, absl::string_view scheme);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ACCESS_H_
