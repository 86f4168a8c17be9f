#include <arrow/filesystem/s3fs.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "server/base/status.h"
#include "server/storage/object_store/arrow_errors.h"
#include "server/storage/object_store/file_systems.h"
#include "server/storage/object_store_access.h"

namespace stockpot {
namespace {

constexpr double kConnectSeconds = 20;
// Of a connection that gives nothing at all; slow ones are for BoundedCalls.
constexpr double kSilentSeconds = 30;

// The library's own place for certificates is that of the machine it was built on.
constexpr const char* kSystemCertificates = "/etc/ssl/certs/ca-certificates.crt";

constexpr int64_t kWriteTries = 5;

// Trying again is written once, in storage/.
class NoRetry final : public arrow::fs::S3RetryStrategy {
 public:
  bool ShouldRetry(const AWSErrorDetail&, int64_t) override { return false; }
  int64_t CalculateDelayBeforeNextRetry(const AWSErrorDetail&, int64_t) override { return 0; }
};

absl::Status SetUpS3() {
  if (arrow::fs::IsS3Initialized()) return absl::OkStatus();
  arrow::fs::S3GlobalOptions options;
  // It would write to standard error, where one line is one event.
  options.log_level = arrow::fs::S3LogLevel::Off;
  const arrow::Status status = arrow::fs::InitializeS3(options);
  return status.ok() ? absl::OkStatus() : absl::InternalError("the AWS library cannot be set up");
}

absl::Status AddCredentials(const RemoteAccess& access, arrow::fs::S3Options* options) {
  if (!access.s3_anonymous && access.s3_credentials_file.empty()) {
    options->ConfigureDefaultCredentials();
    return absl::OkStatus();
  }
  // Nothing has to be asked of the machine's metadata service then, which the library would do for
  // the region's sake.
  setenv("AWS_EC2_METADATA_DISABLED", "true", /*overwrite=*/1);
  if (access.s3_anonymous) {
    options->ConfigureAnonymousCredentials();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const S3Credentials credentials, ReadS3Credentials(access));
  options->ConfigureAccessKey(credentials.access_key, credentials.secret_key,
                              credentials.session_token);
  return absl::OkStatus();
}

absl::StatusOr<arrow::fs::S3Options> MakeS3Options(const RemoteAccess& access) {
  ASSIGN_OR_RETURN(const ObjectStoreEndpoint endpoint,
                   ParseObjectStoreEndpoint(access.s3_endpoint, "--s3_endpoint"));
  arrow::fs::S3Options options;
  RETURN_IF_ERROR(AddCredentials(access, &options));
  options.scheme = endpoint.scheme;
  options.endpoint_override = endpoint.authority;
  options.region = access.s3_region;
  options.force_virtual_addressing = access.s3_addressing == "virtual";
  options.connect_timeout = kConnectSeconds;
  options.request_timeout = kSilentSeconds;
  options.background_writes = false;  // in the background they would fill the memory
  options.tls_ca_file_path = access.ca_file;
  if (access.ca_file.empty() && ::access(kSystemCertificates, R_OK) == 0) {
    options.tls_ca_file_path = kSystemCertificates;
  }
  if (access.proxy.empty()) return options;
  const auto proxy = arrow::fs::S3ProxyOptions::FromUri(access.proxy);
  if (!proxy.ok()) {
    return absl::InvalidArgumentError("--remote_proxy must be like http://proxy:3128");
  }
  options.proxy_options = *proxy;
  return options;
}

absl::StatusOr<ArrowFileSystem> OpenS3With(const RemoteAccess& access,
                                           std::shared_ptr<arrow::fs::S3RetryStrategy> retries) {
  RETURN_IF_ERROR(SetUpS3());
  ASSIGN_OR_RETURN(arrow::fs::S3Options options, MakeS3Options(access));
  options.retry_strategy = std::move(retries);
  auto file_system = arrow::fs::S3FileSystem::Make(options);
  RETURN_IF_ERROR(FromS3(file_system.status(), "s3"));
  return ArrowFileSystem(*std::move(file_system));
}

}  // namespace

absl::StatusOr<ArrowFileSystem> OpenS3(const RemoteAccess& access) {
  return OpenS3With(access, std::make_shared<NoRetry>());
}

absl::StatusOr<ArrowFileSystem> OpenS3ForWriting(const RemoteAccess& access) {
  return OpenS3With(access, arrow::fs::S3RetryStrategy::GetAwsStandardRetryStrategy(kWriteTries));
}

bool ShutDownS3() { return !arrow::fs::IsS3Initialized() || arrow::fs::FinalizeS3().ok(); }

}  // namespace stockpot
