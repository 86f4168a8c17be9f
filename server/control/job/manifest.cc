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

CheckpointReference ReadReference(JsonReader& reader) {
  CheckpointReference reference;
  reader.Read("uri", &reference.uri);
  if (reference.uri.empty()) reader.AddViolation("uri", "is required");
  ReadSha256(reader, "digest", &reference.digest);
  return reference;
}

CheckpointReadingSpec ReadReading(JsonReader reader) {
  CheckpointReadingSpec reading;
  ReadNaming(reader, "state_dict_key", "renames", &reading.state_dict_key, &reading.renames);
  if (!reader.Has("adapter_base")) return reading;
  JsonReader base = reader.Object("adapter_base");
  reading.adapter_base = ReadReference(base);
  return reading;
}

TensorSelectionReference ReadSelection(JsonReader reader) {
  TensorSelectionReference selection;
  reader.Read("excluded", &selection.excluded);
  reader.Read("from_base", &selection.from_base);
  selection.reading = ReadReading(reader.Object("reading"));
  if (selection.from_base.empty()) return selection;
  JsonReader base = reader.Object("base");
  selection.base = ReadReference(base);
  return selection;
}

WriteSoupInputs ReadWrite(JsonReader reader) {
  WriteSoupInputs inputs;
  WeightsInputs& weights = inputs.weights;
  JsonReader blend = reader.Object("blend");
  for (JsonReader& item : blend.List("ingredients")) {
    weights.ingredients.push_back(ReadReference(item));
  }
  blend.Read("coefficients", &weights.coefficients);
  blend.Read("dtype", &weights.dtype);
  weights.selection = ReadSelection(blend.Object("selection"));
  const size_t count = weights.ingredients.size();
  // The base may be one more.
  if (count == 0 || count > static_cast<size_t>(SpecLimits().max_ingredients) + 1) {
    blend.AddViolation("ingredients", absl::StrCat("must be 1 to ", SpecLimits().max_ingredients));
  } else if (weights.coefficients.size() % count != 0) {
    blend.AddViolation("coefficients",
                       "must be none, one for each ingredient, or one for each of its tensors");
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
  JsonReader write = soup.Object("write");
  const WriteSoupInputs inputs = ReadWrite(write);
  write.Object("reestimate");  // an object, where there is one: the worker reads it
  if (!reader.violations().empty()) {
    ErrorFacts facts;
    facts.reason = "MANIFEST_INVALID";
    return WithFacts(reader.status(), facts);
  }
  verification.task = WriteSoupTask(inputs);
  verification.task.description =
      absl::StrCat("verify a soup of ", inputs.weights.ingredients.size());
  Json& body = verification.task.body["write_soup"];
  body["discard"] = true;
  const Json& written = manifest["soup"]["write"];
  if (written.contains("reestimate")) body["reestimate"] = written["reestimate"];
  return verification;
}

}  // namespace stockpot
