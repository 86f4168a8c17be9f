#include "server/main/worker_credentials.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// What gRPC looks for by itself is not where Debian has it.
constexpr char kSystemAuthorities[] = "/etc/ssl/certs/ca-certificates.crt";
constexpr size_t kMostPemBytes = 4 << 20;
constexpr size_t kMostTokenBytes = 4096;

absl::StatusOr<std::string> ReadNamed(absl::string_view flag, const std::string& path,
                                      size_t most) {
  if (path.empty()) return std::string();
  absl::StatusOr<std::string> text = ReadSmallFile(path, most);
  RETURN_IF_ERROR(Annotate(text.status(), absl::StrCat(flag, "=", path)));
  return text;
}

absl::StatusOr<std::string> ReadWorkerToken(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadNamed("--token_file", path, kMostTokenBytes));
  std::string token(absl::StripAsciiWhitespace(text));
  const bool is_header = std::all_of(token.begin(), token.end(),
                                     [](unsigned char c) { return absl::ascii_isgraph(c); });
  if (is_header && token.empty() == path.empty()) return token;
  return absl::InvalidArgumentError("--token_file must hold one line of printable characters");
}

// `address`: as gRPC takes it.
bool StaysOnThisMachine(absl::string_view address) {
  return absl::StartsWith(address, "unix:") || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "127.0.0.1:") || absl::StartsWith(address, "[::1]:");
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> OpenTls(
    const WorkerCredentialFlags& flags) {
  if (flags.certificate_file.empty() != flags.key_file.empty()) {
    return absl::InvalidArgumentError("--certificate_file and --key_file go together");
  }
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN(
      options.pem_root_certs,
      ReadNamed("--ca_file", flags.ca_file.empty() ? kSystemAuthorities : flags.ca_file,
                kMostPemBytes));
  ASSIGN_OR_RETURN(options.pem_cert_chain,
                   ReadNamed("--certificate_file", flags.certificate_file, kMostPemBytes));
  ASSIGN_OR_RETURN(options.pem_private_key, ReadNamed("--key_file", flags.key_file, kMostPemBytes));
  return grpc::SslCredentials(options);
}

}  // namespace

void AddCredentialFlags(CLI::App* app, WorkerCredentialFlags* flags) {
  app->add_flag("--tls", flags->tls, "TLS, by the system's certificate authorities");
  app->add_option("--ca_file", flags->ca_file, "TLS, by the authorities of this PEM file");
  app->add_option("--certificate_file", flags->certificate_file,
                  "Mutual TLS: a certificate to show, PEM, with --key_file");
  app->add_option("--key_file", flags->key_file, "Its private key, PEM without a password");
  app->add_option("--token_file", flags->token_file,
                  "File of a token of the role worker in the server's --access_file");
  app->add_flag("--allow_insecure_remote", flags->allow_insecure_remote,
                "Dial other machines in plaintext: where something between them encrypts");
}

absl::StatusOr<WorkerCredentials> OpenWorkerCredentials(const WorkerCredentialFlags& flags,
                                                        const std::string& server) {
  WorkerCredentials credentials;
  ASSIGN_OR_RETURN(credentials.token, ReadWorkerToken(flags.token_file));
  if (flags.uses_tls()) {
    ASSIGN_OR_RETURN(credentials.channel, OpenTls(flags));
    return credentials;
  }
  if (!StaysOnThisMachine(server) && !flags.allow_insecure_remote) {
    return absl::InvalidArgumentError(
        absl::StrCat("--server=", server,
                     " is another machine, and its answers and this worker's token could be read "
                     "and changed on the way: give --tls or --ca_file, or say "
                     "--allow_insecure_remote"));
  }
  credentials.channel = grpc::InsecureChannelCredentials();
  return credentials;
}

}  // namespace stockpot
