// A model card for the soup, README.md in Hugging Face's form: YAML front matter that the hub reads
// (base_model, base_model_relation: merge, results as model-index), then text for people.
//
// Source: https://huggingface.co/docs/hub/model-cards. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_MODEL_CARD_H_
#define STOCKPOT_SERVER_CONTROL_JOB_MODEL_CARD_H_

#include <string>

#include "server/base/json_reader.h"
#include "server/control/job/store.h"

namespace stockpot {

// `result` is the JSON mapping of a whole stockpot.v1.ReportResult, `files` the soup's.
std::string ModelCard(const JobRecord& job, const Json& result, const Json& files);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_MODEL_CARD_H_
