#include "server/storage/object_store_access.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/files.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/storage/remote_uri.h"

namespace stockpot {
namespace {

constexpr size_t kMostCredentialBytes = 1 << 20;

absl::Status BadFlag(absl::string_view flag, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", message));
}

// The lines "key = value" of one section.
absl::StatusOr<std::map<std::string, std::string>> ReadSection(const std::string& path,
                                                               absl::string_view section) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kMostCredentialBytes));
  std::map<std::string, std::string> values;
  bool is_there = false, is_in = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      is_in = absl::StripAsciiWhitespace(absl::StripSuffix(line.substr(1), "]")) == section;
      is_there = is_there || is_in;
      continue;
    }
    const size_t equals = line.find('=');
    if (!is_in || equals == absl::string_view::npos) continue;
    values[absl::AsciiStrToLower(absl::StripAsciiWhitespace(line.substr(0, equals)))] =
        std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
  if (!is_there) {
    return absl::InvalidArgumentError(absl::StrCat("has no section [", section, "]"));
  }
  return values;
}

absl::Status CheckS3(const RemoteAccess& access) {
  RETURN_IF_ERROR(ParseObjectStoreEndpoint(access.s3_endpoint, "--s3_endpoint").status());
  const std::string& region = access.s3_region;
  const bool is_region = std::all_of(region.begin(), region.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_';
  });
  if (!is_region) return BadFlag("--s3_region", "must be a region's name, such as eu-central-1");
  if (access.s3_addressing != "" && access.s3_addressing != "path" &&
      access.s3_addressing != "virtual") {
    return BadFlag("--s3_addressing", "must be path or virtual");
  }
  if (access.s3_addressing == "path" && access.s3_endpoint.empty()) {
    return BadFlag("--s3_addressing=path", "needs --s3_endpoint: Amazon's own hosts are virtual");
  }
  if (access.s3_credentials_file.empty()) {
    return access.s3_profile == RemoteAccess().s3_profile
               ? absl::OkStatus()
               : BadFlag("--s3_profile",
                         "names a section of --s3_credentials_file, which is missing");
  }
  if (access.s3_anonymous) {
    return BadFlag("--s3_anonymous", "and --s3_credentials_file do not go together");
  }
  return ReadS3Credentials(access).status();
}

absl::Status CheckGcs(const RemoteAccess& access) {
  RETURN_IF_ERROR(ParseObjectStoreEndpoint(access.gcs_endpoint, "--gcs_endpoint").status());
  if (access.gcs_credentials_file.empty()) return absl::OkStatus();
  if (access.gcs_anonymous) {
    return BadFlag("--gcs_anonymous", "and --gcs_credentials_file do not go together");
  }
  const absl::StatusOr<std::string> text =
      ReadSmallFile(access.gcs_credentials_file, kMostCredentialBytes);
  RETURN_IF_ERROR(Annotate(text.status(), "--gcs_credentials_file"));
  const absl::StatusOr<Json> json = ParseJson(*text);
  const bool is_of_google = json.ok() && json->is_object() && json->contains("type");
  return is_of_google ? absl::OkStatus()
                      : BadFlag("--gcs_credentials_file",
                                "must be a JSON file as Google's tools write it, with a \"type\"");
}

bool IsAzureAccount(absl::string_view name) {
  return name.size() >= 3 && name.size() <= 24 && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c));
         });
}

absl::Status CheckAzure(const RemoteAccess& access) {
  RETURN_IF_ERROR(ParseObjectStoreEndpoint(access.azure_endpoint, "--azure_endpoint").status());
  if (access.azure_account.empty() && IsUsed(access, "abfs")) {
    return BadFlag("--azure_account", "must name the storage account that abfs:// URIs are of");
  }
  if (!access.azure_account.empty() && !IsAzureAccount(access.azure_account)) {
    return BadFlag("--azure_account", "must be a storage account's name, 3 to 24 of a-z and 0-9");
  }
  const int ways = static_cast<int>(access.azure_anonymous) +
                   static_cast<int>(!access.azure_account_key_file.empty()) +
                   static_cast<int>(!access.azure_sas_token_file.empty());
  if (ways > 1) {
    return BadFlag("--azure_anonymous, --azure_account_key_file and --azure_sas_token_file",
                   "do not go together");
  }
  return ReadAzureSecret(access).status();
}

// What a file holds, but for white space around it; "" without a file.
absl::StatusOr<std::string> ReadSecret(const std::string& path, absl::string_view flag) {
  if (path.empty()) return "";
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMostCredentialBytes);
  RETURN_IF_ERROR(Annotate(text.status(), flag));
  const absl::string_view secret = absl::StripAsciiWhitespace(*text);
  const bool is_one_word = !secret.empty() && std::all_of(secret.begin(), secret.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
  if (!is_one_word) return BadFlag(flag, "must hold the secret and nothing else");
  return std::string(secret);
}

}  // namespace

absl::StatusOr<ObjectStoreEndpoint> ParseObjectStoreEndpoint(const std::string& text,
                                                             absl::string_view flag) {
  if (text.empty()) return ObjectStoreEndpoint{"https", ""};
  const absl::StatusOr<RemoteUri> uri = ParseRedirect(text);
  RETURN_IF_ERROR(Annotate(uri.status(), flag));
  if (!uri->query.empty() || uri->path != "/") {
    return BadFlag(flag, "must be http[s]://HOST[:PORT], without a path");
  }
  return ObjectStoreEndpoint{uri->scheme, uri->authority};
}

absl::StatusOr<S3Credentials> ReadS3Credentials(const RemoteAccess& access) {
  const auto values = ReadSection(access.s3_credentials_file, access.s3_profile);
  RETURN_IF_ERROR(Annotate(values.status(), "--s3_credentials_file"));
  const auto value = [&](const char* key) {
    const auto found = values->find(key);
    return found == values->end() ? "" : found->second;
  };
  S3Credentials credentials{value("aws_access_key_id"), value("aws_secret_access_key"),
                            value("aws_session_token")};
  if (credentials.access_key.empty() || credentials.secret_key.empty()) {
    return BadFlag("--s3_credentials_file",
                   absl::StrCat("lacks aws_access_key_id or aws_secret_access_key in [",
                                access.s3_profile, "]"));
  }
  return credentials;
}

absl::StatusOr<AzureSecret> ReadAzureSecret(const RemoteAccess& access) {
  AzureSecret secret;
  ASSIGN_OR_RETURN(secret.account_key,
                   ReadSecret(access.azure_account_key_file, "--azure_account_key_file"));
  std::string decoded;
  if (!absl::Base64Unescape(secret.account_key, &decoded)) {
    return BadFlag("--azure_account_key_file", "must hold an account key, which is base64");
  }
  ASSIGN_OR_RETURN(secret.sas_token,
                   ReadSecret(access.azure_sas_token_file, "--azure_sas_token_file"));
  return secret;
}

absl::Status CheckObjectStoreAccess(const RemoteAccess& access) {
  RETURN_IF_ERROR(CheckS3(access));
  RETURN_IF_ERROR(CheckGcs(access));
  return CheckAzure(access);
}

bool IsUsed(const RemoteAccess& access, absl::string_view scheme) {
  const auto is_of_it = [&](const std::string& prefix) {
    const absl::StatusOr<RemoteUri> uri = ParseRemoteFolder(prefix);
    return uri.ok() && uri->scheme == scheme;
  };
  const auto any = [&](const std::vector<std::string>& prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(), is_of_it);
  };
  return any(access.allowed_uri_prefixes) || any(access.allowed_architecture_prefixes) ||
         any(access.allowed_output_uri_prefixes);
}

}  // namespace stockpot
