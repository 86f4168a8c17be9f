// Which numbers of a score a model card shows, and what the Hugging Face hub calls them.
//
// Source: https://huggingface.co/docs/hub/model-cards#evaluation-results, names of
// https://huggingface.co/evaluate-metric. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_CARD_METRICS_H_
#define STOCKPOT_SERVER_CONTROL_JOB_CARD_METRICS_H_

#include <string>
#include <vector>

#include "server/base/json_reader.h"
#include "server/base/score.h"

namespace stockpot {

struct CardMetric {
  Metric metric;
  const char* type;  // the hub's
  const char* name;  // for people
  bool is_rate;      // shown in per cent
  // Fields of stockpot.v1.Score: the value is their mean.
  std::vector<const char*> fields;

  double ValueOf(const Json& score) const;
  std::string TextOf(const Json& score) const;
};

// Of a job that decides by `metric`, whose scores are like `score`: what decides first, then
// accuracy where the score has it and it says more.
std::vector<CardMetric> CardMetricsOf(const std::string& metric, const Json& score);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_CARD_METRICS_H_
