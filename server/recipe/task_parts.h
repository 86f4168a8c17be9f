// What keys and bodies of tasks are made of. Internal to recipe/: see task.h.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_RECIPE_TASK_PARTS_H_
#define STOCKPOT_SERVER_RECIPE_TASK_PARTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/recipe/task.h"

namespace stockpot {

std::string KeyOf(absl::string_view kind, int version, const Json& determining);

Json DigestsOf(const std::vector<CheckpointReference>& ingredients);
Json ReferenceJson(const CheckpointReference& reference);
Json ReferencesJson(const std::vector<CheckpointReference>& references);

// worker.v1.CheckpointReading, TensorSelection and Blend; what says nothing is left out.
void AddReadingJson(const CheckpointReadingSpec& reading, Json* body);
void AddSelectionJson(const TensorSelectionReference& selection, Json* body);
Json BlendJson(const WeightsInputs& weights);

// worker.v1.Measure.
Json MeasureJson(const MeasureInputs& inputs);

// What of them determines a result.
void AddSelection(const TensorSelectionReference& selection, Json* determining);
Json Determining(const WeightsInputs& weights);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_TASK_PARTS_H_
