#include "tests/support/fakes/fake_results.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/digest.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// 0 … limit-1, from the text.
int64_t Draw(const std::string& text, int64_t limit) {
  return std::strtoll(Sha256Hex(text).substr(0, 12).c_str(), nullptr, 16) % limit;
}

std::string DigestOf(const std::string& uri) {
  const size_t same = uri.find("same-");
  return Sha256Hex(same == std::string::npos ? uri : uri.substr(same, 6));
}

Json Tensors(int64_t rows) {
  return Json::array({{{"name", "fc.weight"}, {"dtype", "F32"}, {"shape", {rows, 4}}},
                      {{"name", "fc.bias"}, {"dtype", "F32"}, {"shape", {rows}}}});
}

Fact Failed(absl::Status status) {
  Fact fact;
  fact.status = std::move(status);
  return fact;
}

Fact Checkpoint(const std::string& uri) {
  if (absl::StrContains(uri, "bad")) {
    return Failed(WithReason(absl::NotFoundError("no such file"), "CHECKPOINT_NOT_FOUND"));
  }
  Fact fact;
  fact.result = {{"checkpoint",
                  {{"digest", DigestOf(uri)},
                   {"format", "safetensors"},
                   {"byte_count", "1000"},
                   {"tensors", Tensors(absl::StrContains(uri, "misfit") ? 7 : 10)}}}};
  return fact;
}

Fact Measured(const Task& task) {
  const Json& measure = task.body["measure"];
  for (const Json& ingredient : measure["blend"]["ingredients"]) {
    const std::string uri = ingredient["uri"].get<std::string>();
    if (absl::StrContains(uri, "nan")) {
      return Failed(WithReason(absl::DataLossError("the model gives NaN"), "NON_FINITE_OUTPUT"));
    }
    if (absl::StrContains(uri, "oom") && measure["batch_size"] > 125) {
      return Failed(WithReason(absl::ResourceExhaustedError("out of memory"), "OUT_OF_MEMORY"));
    }
  }
  const int64_t top1 = 500 + Draw(task.key, 100);
  Fact fact;
  fact.result = {
      {"measured",
       {{"example_count", kFakeExampleCount},
        {"top1_correct", top1},
        {"top5_correct", absl::StrCat(top1 + Draw(task.key + "5", 300))},
        {"cross_entropy_sum", 0.125 * static_cast<double>(Draw(task.key + "x", 9000))}}}};
  fact.examples = task.key.substr(0, 16);
  fact.seconds = 0.5;
  return fact;
}

}  // namespace

Fact FakeResult(const Task& task) {
  Fact fact;
  if (task.kind() == "inspect_checkpoint") {
    fact = Checkpoint(task.body["inspect_checkpoint"]["uri"]);
  } else if (task.kind() == "inspect_architecture") {
    fact.result = {{"architecture",
                    {{"digest", Sha256Hex(task.body.dump())},
                     {"numerics", kFakeNumerics},
                     {"tensors", Tensors(10)}}}};
  } else if (task.kind() == "inspect_data_set") {
    fact.result = {{"data_set",
                    {{"digest", Sha256Hex(task.body.dump())},
                     {"example_count", kFakeExampleCount},
                     {"class_count", 10}}}};
  } else if (task.kind() == "measure") {
    fact = Measured(task);
  } else if (task.kind() == "write_soup") {
    const std::string digest = Sha256Hex(task.body["write_soup"]["blend"].dump());
    fact.result = {{"soup",
                    {{"content_digest", digest},
                     {"files", Json::array({{{"file", "soup.safetensors"},
                                             {"size_bytes", "1000"},
                                             {"sha256", Sha256Hex(task.body.dump())}}})}}}};
  }
  fact.key = task.key;
  return fact;
}

Json FakeSpec(const std::vector<std::string>& uris, const Json& extra) {
  Json ingredients = Json::array();
  for (const std::string& uri : uris) ingredients.push_back({{"uri", uri}});
  Json spec = {
      {"model", {{"architecture_uri", "/models/architecture.pt"}}},
      {"ingredients", ingredients},
      {"evaluation",
       {{"held_out", {{"uri", "/data/held_out.safetensors"}}},
        {"report_sets", Json::array({{{"name", "test"}, {"uri", "/data/test.safetensors"}}})}}}};
  spec.merge_patch(extra);
  return spec;
}

std::vector<std::string> FakeUris(int count) {
  std::vector<std::string> uris;
  for (int i = 0; i < count; ++i) {
    uris.push_back(absl::StrFormat("/sweep/m%02d.safetensors", i));
  }
  return uris;
}

}  // namespace stockpot
