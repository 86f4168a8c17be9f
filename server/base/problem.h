// What a model is for, and so what it gives. The one list for the server and its workers.
#ifndef STOCKPOT_SERVER_BASE_PROBLEM_H_
#define STOCKPOT_SERVER_BASE_PROBLEM_H_

namespace stockpot {

enum class Problem {
  kClassification,  // logits [N, classes]
  kRegression,      // [N] or [N, 1]
  kLanguageModel,   // logits [N, length, vocabulary]
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_PROBLEM_H_
