#include "client/cli/channel_security.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/read_file.h"

namespace stockpot::cli {
namespace {

// What gRPC looks for by itself is not where Debian has it.
constexpr char kSystemAuthorities[] = "/etc/ssl/certs/ca-certificates.crt";
constexpr size_t kMaxToken = 4096;
constexpr uintmax_t kMaxMebibytes = 4;

absl::StatusOr<std::string> Read(const char* flag, const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxMebibytes);
  if (text.ok()) return text;
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", text.status().message()));
}

absl::StatusOr<std::string> ReadToken(const SecurityFlags& flags) {
  std::string token = flags.token;
  if (!flags.token_file.empty()) {
    absl::StatusOr<std::string> text = Read("--token-file", flags.token_file);
    if (!text.ok()) return text;
    token = *text;
  }
  token = std::string(absl::StripAsciiWhitespace(token));
  const bool is_header = std::all_of(token.begin(), token.end(),
                                     [](unsigned char c) { return absl::ascii_isgraph(c); });
  if (is_header && token.size() <= kMaxToken) return token;
  return absl::InvalidArgumentError(
      "the token (--token-file, $STOCKPOT_TOKEN) must be one line of printable characters");
}

bool IsThisMachine(const std::string& server) {
  return absl::StartsWith(server, "unix:") || absl::StartsWith(server, "localhost:") ||
         absl::StartsWith(server, "127.") || absl::StartsWith(server, "[::1]:");
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(
    const SecurityFlags& flags) {
  if (flags.certificate_file.empty() != flags.key_file.empty()) {
    return absl::InvalidArgumentError("--certificate-file and --key-file go together");
  }
  grpc::SslCredentialsOptions options;
  const auto read = [](const char* flag, const std::string& path, std::string* text) {
    if (path.empty()) return absl::OkStatus();
    absl::StatusOr<std::string> content = Read(flag, path);
    if (!content.ok()) return content.status();
    *text = *std::move(content);
    return absl::OkStatus();
  };
  absl::Status status =
      read("--ca-file", flags.ca_file.empty() ? kSystemAuthorities : flags.ca_file,
           &options.pem_root_certs);
  if (status.ok()) {
    status = read("--certificate-file", flags.certificate_file, &options.pem_cert_chain);
  }
  if (status.ok()) status = read("--key-file", flags.key_file, &options.pem_private_key);
  if (!status.ok()) return status;
  return grpc::SslCredentials(options);
}

}  // namespace

bool UsesTls(const SecurityFlags& flags) {
  return flags.tls || !flags.ca_file.empty() || !flags.certificate_file.empty() ||
         !flags.key_file.empty();
}

absl::StatusOr<ChannelSecurity> OpenChannelSecurity(const SecurityFlags& flags,
                                                    const std::string& server) {
  ChannelSecurity security;
  absl::StatusOr<std::string> token = ReadToken(flags);
  if (!token.ok()) return token.status();
  security.token = *std::move(token);
  if (!UsesTls(flags)) {
    if (!security.token.empty() && !IsThisMachine(server) && !flags.allow_insecure_token) {
      return absl::InvalidArgumentError(
          "a token would go over the network for anybody to read: add --tls or --ca-file, or say "
          "--allow-insecure-token");
    }
    security.credentials = grpc::InsecureChannelCredentials();
    return security;
  }
  auto credentials = TlsCredentials(flags);
  if (!credentials.ok()) return credentials.status();
  security.credentials = *std::move(credentials);
  return security;
}

}  // namespace stockpot::cli
