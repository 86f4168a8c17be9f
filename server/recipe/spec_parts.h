// Parts of reading a JobSpec. Internal to recipe/: see spec.h. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_RECIPE_SPEC_PARTS_H_
#define STOCKPOT_SERVER_RECIPE_SPEC_PARTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/recipe/spec.h"

namespace stockpot {

// Reads an enumeration: absent or …_UNSPECIFIED means the first of `names`.
std::string ReadEnum(JsonReader& reader, const std::string& key,
                     const std::vector<std::string>& names);
// The same as the position in `names`.
int ReadChoice(JsonReader& reader, const std::string& key, const std::vector<std::string>& names);
// 0 stays the default; else from 1 to `most`.
void ReadCount(JsonReader& reader, const std::string& key, int most, int* count);
void ReadUri(JsonReader& reader, const std::string& key, std::string* uri);
void CheckUri(JsonReader& reader, const std::string& key, const std::string& uri);

DataSetSpec ReadDataSet(JsonReader reader, absl::string_view default_name);

// `spec` has the model, the ingredients, the data sets and the batch size.
RecipeSpec ReadRecipe(JsonReader reader, const JobSpec& spec);
AnalysisSpec ReadAnalysis(JsonReader reader, const JobSpec& spec);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_SPEC_PARTS_H_
