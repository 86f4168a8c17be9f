#include "server/control/job/manifest.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

constexpr int kVersion = 1;

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void ReadSha256(JsonReader& reader, const std::string& key, std::string* digest) {
  reader.Read(key, digest);
  if (!IsSha256(*digest)) reader.AddViolation(key, "must be a SHA-256 of 64 hexadecimal digits");
}

WriteSoupInputs ReadWrite(JsonReader reader) {
  WriteSoupInputs inputs;
  JsonReader blend = reader.Object("blend");
  for (JsonReader& item : blend.List("ingredients")) {
    CheckpointReference& ingredient = inputs.ingredients.emplace_back();
    item.Read("uri", &ingredient.uri);
    if (ingredient.uri.empty()) item.AddViolation("uri", "is required");
    ReadSha256(item, "digest", &ingredient.digest);
  }
  blend.Read("coefficients", &inputs.coefficients);
  blend.Read("dtype", &inputs.dtype);
  const size_t count = inputs.ingredients.size();
  if (count == 0 || count > static_cast<size_t>(SpecLimits().max_ingredients)) {
    blend.AddViolation("ingredients", absl::StrCat("must be 1 to ", SpecLimits().max_ingredients));
  }
  if (!inputs.coefficients.empty() && inputs.coefficients.size() != count) {
    blend.AddViolation("coefficients", "must be none or one for each ingredient");
  }
  reader.Read("format", &inputs.format);
  reader.Read("max_shard_bytes", &inputs.max_shard_bytes);
  reader.Read("metadata", &inputs.metadata);
  return inputs;
}

}  // namespace

Json MakeManifest(const JobRecord& job, const std::string& software, const PlanDecision& decision,
                  const Json& result, const Json& files) {
  const absl::StatusOr<Json> spec = ParseJson(job.spec);
  return {{"manifest_version", kVersion},
          {"job", job.name},
          {"software", software},
          {"spec", spec.ok() ? *spec : Json()},
          {"soup",
           {{"write", decision.write_soup},
            {"content_digest", result.value("soup_digest", "")},
            {"files", decision.artifacts}}},
          {"files", files},
          {"result", result}};
}

absl::StatusOr<SoupVerification> ReadManifest(const Json& manifest) {
  JsonReader reader(manifest, "manifest");
  int version = 0;
  reader.Read("manifest_version", &version);
  if (version != kVersion) {
    reader.AddViolation("manifest_version", absl::StrCat("must be ", kVersion));
  }
  JsonReader soup = reader.Object("soup");
  SoupVerification verification;
  ReadSha256(soup, "content_digest", &verification.content_digest);
  for (JsonReader& item : soup.List("files")) {
    SoupFile& file = verification.files.emplace_back();
    item.Read("file", &file.file);
    item.Read("size_bytes", &file.size_bytes);
    ReadSha256(item, "sha256", &file.sha256);
  }
  if (verification.files.empty()) soup.AddViolation("files", "must not be empty");
  const WriteSoupInputs inputs = ReadWrite(soup.Object("write"));
  if (!reader.violations().empty()) {
    ErrorFacts facts;
    facts.reason = "MANIFEST_INVALID";
    return WithFacts(reader.status(), facts);
  }
  verification.task = WriteSoupTask(inputs);
  verification.task.description = absl::StrCat("verify a soup of ", inputs.ingredients.size());
  verification.task.body["write_soup"]["discard"] = true;
  return verification;
}

}  // namespace stockpot
