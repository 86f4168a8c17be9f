#include "tests/support/http_server/s3_server.h"

#include <cctype>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/digest.h"

namespace stockpot {
namespace {

constexpr char kTime[] = "2026-11-26T08:00:00.000Z";

// As the AWS library encodes keys in paths.
std::string EncodeKey(const std::string& key) {
  std::string encoded;
  for (const char c : key) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-_.~/", c)) {
      encoded.push_back(c);
    } else {
      absl::StrAppend(&encoded, "%",
                      absl::AsciiStrToUpper(absl::BytesToHexString(absl::string_view(&c, 1))));
    }
  }
  return encoded;
}

std::string Decode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      decoded.push_back(text[i]);
    }
  }
  return decoded;
}

std::string Xml(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else {
      escaped.push_back(c);
    }
  }
  return escaped;
}

std::string ErrorXml(const std::string& code) {
  return absl::StrCat(R"(<?xml version="1.0" encoding="UTF-8"?><Error><Code>)", code,
                      "</Code><Message>what a server says: secret</Message></Error>");
}

std::map<std::string, std::string> Parameters(absl::string_view query) {
  std::map<std::string, std::string> parameters;
  for (const absl::string_view part : absl::StrSplit(query, '&')) {
    const size_t equals = part.find('=');
    if (equals == absl::string_view::npos) {
      parameters[std::string(part)] = "";
    } else {
      parameters[std::string(part.substr(0, equals))] = Decode(part.substr(equals + 1));
    }
  }
  return parameters;
}

}  // namespace

S3Server::S3Server(const TestCertificate* certificate) : http_(certificate) {
  http_.OnReply([this](const auto& request, auto* reply) { Edit(request, reply); });
}

void S3Server::Put(const std::string& bucket, const std::string& key, const std::string& content) {
  const std::string entity_tag = "\"" + Sha256Hex(content).substr(0, 32) + "\"";
  http_.Put("/" + bucket + "/" + EncodeKey(key),
            {.content = content,
             .entity_tag = entity_tag,
             .fields = {{"Last-Modified", "Thu, 26 Nov 2026 08:00:00 GMT"}}});
  std::lock_guard lock(mutex_);
  buckets_[bucket][key] = {entity_tag, content.size()};
}

void S3Server::OnFault(std::function<void(const HttpServer::Request&, HttpServer::Reply*)> fault) {
  std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

// Without a delimiter, or with "/" as the only one.
void S3Server::List(const std::string& bucket, const std::string& query,
                    HttpServer::Reply* reply) const {
  auto parameters = Parameters(query);
  const std::string prefix = parameters["prefix"], delimiter = parameters["delimiter"];
  const std::string after = parameters["continuation-token"];
  size_t most = page_size_;
  if (!parameters["max-keys"].empty())
    most = std::min<size_t>(most, std::stoul(parameters["max-keys"]));
  std::string contents, last;
  std::set<std::string> folders;
  size_t count = 0;
  bool is_truncated = false;
  for (const auto& [key, object] : buckets_.at(bucket)) {
    if (!absl::StartsWith(key, prefix) || (!after.empty() && key <= after)) continue;
    if (count == most) {
      is_truncated = true;
      break;
    }
    ++count;
    last = key;
    const size_t slash = delimiter.empty() ? std::string::npos : key.find('/', prefix.size());
    if (slash != std::string::npos) {
      folders.insert(key.substr(0, slash + 1));
      continue;
    }
    absl::StrAppend(&contents, "<Contents><Key>", Xml(key), "</Key><LastModified>", kTime,
                    "</LastModified><ETag>", Xml(object.entity_tag), "</ETag><Size>", object.size,
                    "</Size><StorageClass>STANDARD</StorageClass></Contents>");
  }
  for (const std::string& folder : folders) {
    absl::StrAppend(&contents, "<CommonPrefixes><Prefix>", Xml(folder),
                    "</Prefix></CommonPrefixes>");
  }
  reply->Become(
      200, absl::StrCat(R"(<?xml version="1.0" encoding="UTF-8"?>)",
                        R"(<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)",
                        "<Name>", bucket, "</Name><Prefix>", Xml(prefix), "</Prefix><KeyCount>",
                        count, "</KeyCount><MaxKeys>", most, "</MaxKeys><IsTruncated>",
                        is_truncated ? "true" : "false", "</IsTruncated>",
                        is_truncated ? absl::StrCat("<NextContinuationToken>", Xml(last),
                                                    "</NextContinuationToken>")
                                     : "",
                        contents, "</ListBucketResult>"));
}

void S3Server::Edit(const HttpServer::Request& request, HttpServer::Reply* reply) {
  std::lock_guard lock(mutex_);
  const auto authorization = request.fields.find("authorization");
  const bool is_known =
      access_key_.empty() ||
      (authorization != request.fields.end() &&
       absl::StrContains(authorization->second, "Credential=" + access_key_ + "/"));
  const size_t question = request.target.find('?');
  const std::string path = Decode(absl::string_view(request.target).substr(1, question - 1));
  const std::string bucket = path.substr(0, path.find('/'));
  const std::string key = path.size() > bucket.size() ? path.substr(bucket.size() + 1) : "";
  if (!is_known) {
    reply->Become(403, ErrorXml("InvalidAccessKeyId"));
  } else if (buckets_.count(bucket) == 0) {
    reply->Become(404, ErrorXml("NoSuchBucket"));
  } else if (key.empty() && question != std::string::npos) {
    List(bucket, request.target.substr(question + 1), reply);
  } else if (key.empty()) {
    reply->Become(200);
  } else if (buckets_[bucket].count(key) == 0) {
    reply->Become(404, ErrorXml("NoSuchKey"));
  }
  if (fault_) fault_(request, reply);
}

}  // namespace stockpot
