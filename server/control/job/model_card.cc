#include "server/control/job/model_card.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/control/job/card_metrics.h"

namespace stockpot {
namespace {

// Text from outside as the content of a Markdown cell.
std::string Cell(const std::string& text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}, {"\r", " "}, {"<", "&lt;"}});
}

// The hub knows models by owner/name; what is elsewhere is called as the report calls it.
std::string BaseModel(const Json& ingredient) {
  const std::string uri = ingredient.value("uri", "");
  if (!absl::StartsWith(uri, "hf://")) return ingredient.value("display_name", "");
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(uri).substr(5), absl::ByAnyChar("/@"));
  return parts.size() < 2 ? uri : absl::StrCat(parts[0], "/", parts[1]);
}

const Json* Chosen(const Json& result) {
  for (const Json& blend : result["blends"]) {
    if (blend["kind"] == result["chosen"]) return &blend;
  }
  return nullptr;
}

// The job's scores all have the same fields.
std::vector<CardMetric> MetricsOf(const Json& result) {
  const Json* chosen = Chosen(result);
  const bool measured = chosen != nullptr && !chosen->at("scores").empty();
  return CardMetricsOf(result.value("metric", ""),
                       measured ? chosen->at("scores")[0]["score"] : Json::object());
}

// The hub's name for what the model does. Of other inputs than images only their names are known.
std::string TaskOf(const Json& spec) {
  const Json evaluation = spec.value("evaluation", Json::object());
  const Json held_out = evaluation.value("held_out", Json::object());
  const std::string problem = evaluation.value("problem", "");
  if (problem == "LANGUAGE_MODEL") return "text-generation";
  if (problem == "REGRESSION") return "other";
  const std::string format = held_out.value("format", "");
  bool images =
      held_out.contains("image_transform") || format == "IMAGE_FOLDER" || format == "WEBDATASET";
  const Json model = spec.value("model", Json::object());
  for (const Json& input : model.value("inputs", Json::array())) {
    images |= input.value("data_set_input", "") == "images";
  }
  return images ? "image-classification" : "other";
}

void EmitMetrics(const std::vector<CardMetric>& metrics, const Json& score, YAML::Emitter* yaml) {
  *yaml << YAML::Key << "metrics" << YAML::Value << YAML::BeginSeq;
  for (const CardMetric& metric : metrics) {
    *yaml << YAML::BeginMap << YAML::Key << "type" << YAML::Value << metric.type << YAML::Key
          << "name" << YAML::Value << metric.name << YAML::Key << "value" << YAML::Value
          << metric.ValueOf(score) << YAML::EndMap;
  }
  *yaml << YAML::EndSeq;
}

void EmitResults(const std::string& name, const std::string& task, const Json& result,
                 YAML::Emitter* yaml) {
  *yaml << YAML::Key << "model-index" << YAML::Value << YAML::BeginSeq << YAML::BeginMap;
  *yaml << YAML::Key << "name" << YAML::Value << name;
  *yaml << YAML::Key << "results" << YAML::Value << YAML::BeginSeq;
  const Json* chosen = Chosen(result);
  const Json scores = chosen == nullptr ? Json::array() : chosen->at("scores");
  for (const Json& item : scores) {
    const std::string data_set = item["data_set"].get<std::string>();
    *yaml << YAML::BeginMap;
    *yaml << YAML::Key << "task" << YAML::Value << YAML::BeginMap << YAML::Key << "type"
          << YAML::Value << task << YAML::EndMap;
    *yaml << YAML::Key << "dataset" << YAML::Value << YAML::BeginMap << YAML::Key << "name"
          << YAML::Value << data_set << YAML::Key << "type" << YAML::Value << data_set
          << YAML::EndMap;
    EmitMetrics(MetricsOf(result), item["score"], yaml);
    *yaml << YAML::EndMap;
  }
  *yaml << YAML::EndSeq << YAML::EndMap << YAML::EndSeq;
}

std::string FrontMatter(const std::string& name, const std::string& task, const Json& result) {
  std::vector<std::string> models;
  for (const Json& ingredient : result["ingredients"]) {
    if (!ingredient.value("in_soup", false)) continue;
    const std::string model = BaseModel(ingredient);
    if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(model);
  }
  YAML::Emitter yaml;
  yaml << YAML::BeginMap;
  yaml << YAML::Key << "base_model" << YAML::Value << models;
  yaml << YAML::Key << "base_model_relation" << YAML::Value << "merge";
  yaml << YAML::Key << "tags" << YAML::Value
       << std::vector<std::string>{"model-soup", "merge", "stockpot"};
  EmitResults(name, task, result, &yaml);
  yaml << YAML::EndMap;
  return yaml.c_str();
}

std::string NamesOf(const std::vector<CardMetric>& metrics) {
  std::string names;
  for (const CardMetric& metric : metrics) {
    absl::StrAppend(&names, names.empty() ? "" : ", then ", metric.name);
  }
  return names;
}

std::string ScoreTable(const std::vector<CardMetric>& metrics, const Json& result) {
  std::string head = "| |", rule = "|---|";
  for (const Json& data_set : result["data_sets"]) {
    absl::StrAppend(&head, " ", data_set["name"].get<std::string>(), " |");
    absl::StrAppend(&rule, "---|");
  }
  std::string table = absl::StrCat(head, "\n", rule, "\n");
  for (const Json& blend : result["blends"]) {
    absl::StrAppend(&table, "| ", blend["kind"].get<std::string>(),
                    blend["kind"] == result["chosen"] ? " (this model)" : "", " |");
    for (const Json& item : blend["scores"]) {
      for (size_t i = 0; i < metrics.size(); ++i) {
        absl::StrAppend(&table, i == 0 ? " " : ", ", metrics[i].TextOf(item["score"]));
      }
      absl::StrAppend(&table, " |");
    }
    absl::StrAppend(&table, "\n");
  }
  return table;
}

std::string IngredientTable(const Json& result) {
  std::string table = "| ingredient | coefficient | sha256 of the tensors |\n|---|---|---|\n";
  const Json* chosen = Chosen(result);
  const Json names = chosen == nullptr ? Json::array() : chosen->at("ingredients");
  for (const Json& name : names) {
    for (const Json& ingredient : result["ingredients"]) {
      if (ingredient["display_name"] != name) continue;
      absl::StrAppend(&table, "| ", Cell(name.get<std::string>()), " | ",
                      absl::StrFormat("%.6g", ingredient.value("coefficient", 0.0)), " | `",
                      ingredient.value("digest", ""), "` |\n");
    }
  }
  return table;
}

}  // namespace

std::string ModelCard(const JobRecord& job, const Json& result, const Json& files) {
  const std::string name = job.display_name.empty() ? job.name : Cell(job.display_name);
  std::string file_list;
  for (const Json& file : files) {
    absl::StrAppend(&file_list, file_list.empty() ? "`" : ", `", file["file"].get<std::string>(),
                    "`");
  }
  const absl::StatusOr<Json> spec = ParseJson(job.spec);
  const std::string task = TaskOf(spec.ok() && spec->is_object() ? *spec : Json::object());
  const std::vector<CardMetric> metrics = MetricsOf(result);
  return absl::StrCat(
      "---\n", FrontMatter(name, task, result), "\n---\n\n# ", name,
      "\n\nA model soup ([Wortsman et al., "
      "2022](https://arxiv.org/abs/2203.05482)): the weights of several fine-tunes of one "
      "pre-trained "
      "model, averaged. ",
      Cell(result.value("explanation", "")), "\n\n", NamesOf(metrics), "; the choice was made on ",
      result["data_sets"][0]["name"].get<std::string>(), " alone, by ", result.value("metric", ""),
      ", with the recipe ", result.value("recipe", ""), ":\n\n", ScoreTable(metrics, result),
      "\n## Ingredients, in the order they were added\n\n", IngredientTable(result),
      "\n## Files\n\n", file_list,
      " hold the weights, `report.json` every score and step, `manifest.json` all that is needed "
      "to "
      "make the same bits again (`stockpot verify manifest.json`). Computed with ",
      Cell(result.value("numerics", "")), ".\n");
}

}  // namespace stockpot
