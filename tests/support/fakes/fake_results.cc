#include "tests/support/fakes/fake_results.h"

#include <cstdlib>
#include <random>
#include <utility>

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

// Which examples are right: `count` of them, the same ones for the same text.
std::string Bits(const std::string& text, int64_t count) {
  std::string bits((kFakeExampleCount + 7) / 8, '\0');
  std::mt19937 random(static_cast<unsigned>(Draw(text, 1 << 30)));
  for (int64_t set = 0; set < count;) {
    const auto example = static_cast<size_t>(random() % kFakeExampleCount);
    char& byte = bits[example / 8];
    if ((byte >> (example % 8) & 1) != 0) continue;
    byte = static_cast<char>(byte | 1 << (example % 8));
    ++set;
  }
  return bits;
}

// Ten classes of equally many examples; which are right is spread over them evenly.
void AddClassCounts(int64_t top1, Json* measured) {
  for (int64_t i = 0; i < 10; ++i) {
    (*measured)["label_counts"].push_back(kFakeExampleCount / 10);
    (*measured)["predicted_counts"].push_back(kFakeExampleCount / 10);
    (*measured)["correct_counts"].push_back((top1 + i) / 10);
  }
}

Fact Scored(const Task& task) {
  const int64_t top1 = 500 + Draw(task.key, 100);
  Json measured = {{"example_count", kFakeExampleCount},
                   {"top1_correct", top1},
                   {"top5_correct", absl::StrCat(top1 + Draw(task.key + "5", 300))},
                   {"cross_entropy_sum", 0.125 * static_cast<double>(Draw(task.key + "x", 9000))},
                   {"ece_equal_mass", 0.001 * static_cast<double>(Draw(task.key + "e", 100))},
                   {"squared_error_sum", 0.125 * static_cast<double>(Draw(task.key + "s", 9000))},
                   {"pearson", 0.01 * static_cast<double>(Draw(task.key + "p", 100))},
                   {"spearman", 0.01 * static_cast<double>(Draw(task.key + "r", 100))}};
  AddClassCounts(top1, &measured);
  if (task.kind() == "measure_ensemble" && task.body["measure_ensemble"]["fit_temperature"]) {
    measured["temperature"] = 0.5 + 0.01 * static_cast<double>(Draw(task.key + "t", 100));
  }
  Fact fact;
  fact.result = {{"measured", std::move(measured)}};
  fact.examples = Bits(task.key, top1);
  fact.seconds = 0.5;
  return fact;
}

bool Clears(const Json& bar, const Score& score) {
  const Metric metric = *MetricOfName(bar["metric"].get<std::string>());
  return ClearsBar(metric, DecidingNumber(metric, score), bar["number"].get<double>(),
                   bar["ties_win"].get<bool>());
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
  Fact fact = Scored(task);
  if (measure.contains("bar") && !Clears(measure["bar"], *ReadScore(fact))) {
    fact.result = {{"not_better",
                    {{"example_count", kFakeExampleCount},
                     {"examples_evaluated", 300 + Draw(task.key + "b", 700)}}}};
    fact.examples.clear();
  }
  return fact;
}

double Fraction(const std::string& text) { return 0.001 * static_cast<double>(Draw(text, 1000)); }

// Positive definite, as inner products are.
Fact Compared(const Task& task) {
  const size_t count = task.body["compare_weights"]["ingredients"].size();
  Json products = Json::array();
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) products.push_back(i == j ? 2.0 : 0.5);
  }
  Fact fact;
  fact.result = {{"weights", {{"inner_products", products}}}};
  return fact;
}

// Two tensors; coefficients that sum to 1 for each.
Fact Learned(const Task& task) {
  const Json& learn = task.body["learn_coefficients"];
  const size_t count = learn["measure"]["blend"]["ingredients"].size();
  const size_t tensors = learn["recipe"]["per_tensor"].get<bool>() ? 2 : 1;
  std::vector<double> coefficients(count * tensors, 1.0 / static_cast<double>(count));
  const double moved = Fraction(task.key) / static_cast<double>(count);
  coefficients.front() += moved;
  coefficients.back() -= moved;
  Fact fact;
  fact.result = {{"coefficients",
                  {{"state", task.key.substr(0, 12)},
                   {"coefficients", coefficients},
                   {"temperature", 1 + Fraction(task.key + "t")},
                   {"mean_loss", Fraction(task.key + "l")}}}};
  return fact;
}

Fact Gap(const Task& task) {
  Fact fact;
  fact.result = {{"gap",
                  {{"inverse_temperature", 1 + Fraction(task.key)},
                   {"soup_loss", Fraction(task.key + "s")},
                   {"ensemble_loss", Fraction(task.key + "e")},
                   {"second_derivative", Fraction(task.key + "d")},
                   {"variance", Fraction(task.key + "v")},
                   {"approximation", Fraction(task.key + "a")}}}};
  return fact;
}

Fact Architecture(const Task& task) {
  Fact fact;
  fact.result = {{"architecture",
                  {{"digest", Sha256Hex(task.body.dump())},
                   {"numerics", kFakeNumerics},
                   {"tensors", Tensors(10)}}}};
  const std::string uri = task.body["inspect_architecture"]["uri"];
  if (absl::StrContains(uri, "norm")) {
    fact.result["architecture"]["batch_norms"] = Json::array({"norm"});
  }
  return fact;
}

// "/found-3/*.pt": three files; what holds "none" matches nothing.
Fact Listed(const Task& task) {
  Fact fact;
  const std::string pattern = task.body["list_sources"]["uri_pattern"];
  const size_t at = pattern.find("found-");
  if (at == std::string::npos) {
    fact.status =
        WithReason(absl::NotFoundError("no file matches " + pattern), "CHECKPOINT_NOT_FOUND");
    return fact;
  }
  const std::string folder = pattern.substr(0, pattern.find('/', at));
  Json uris = Json::array();
  for (int i = 0; i < std::stoi(pattern.substr(at + 6)); ++i) {
    uris.push_back(absl::StrFormat("%s/m%02d.safetensors", folder, i));
  }
  fact.result = {{"sources", {{"uris", uris}}}};
  return fact;
}

}  // namespace

Fact FakeResult(const Task& task) {
  Fact fact;
  if (task.kind() == "inspect_checkpoint") {
    fact = Checkpoint(task.body["inspect_checkpoint"]["uri"]);
  } else if (task.kind() == "list_sources") {
    fact = Listed(task);
  } else if (task.kind() == "inspect_architecture") {
    fact = Architecture(task);
  } else if (task.kind() == "inspect_classifier") {
    fact.result = {{"classifier", {{"digest", Sha256Hex(task.body.dump())}, {"class_count", 10}}}};
  } else if (task.kind() == "measure_ensemble") {
    fact = Scored(task);
  } else if (task.kind() == "measure_gap") {
    fact = Gap(task);
  } else if (task.kind() == "compare_weights") {
    fact = Compared(task);
  } else if (task.kind() == "learn_coefficients") {
    fact = Learned(task);
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
  } else if (task.kind() == "publish_artifacts") {
    fact.result = {{"published", {{"byte_count", "1000"}}}};
  }
  fact.key = FactKey(task, fact.result);
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
