// What tests of files on other machines share: a sweep, its job over the files wherever they are,
// and the result that it has with local ones. Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_E2E_SWEEP_ELSEWHERE_H_
#define STOCKPOT_TESTS_E2E_SWEEP_ELSEWHERE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {

// Fails the test where it cannot be read.
inline std::string ReadWhole(const std::string& path) {
  const absl::StatusOr<std::string> content = ReadSmallFile(path, 1 << 30);
  EXPECT_TRUE(content.ok()) << path << ": " << content.status();
  return content.ok() ? *content : "";
}

// What must not depend on where files are.
inline std::string WithoutUris(v1::ReportResult result) {
  for (v1::IngredientResult& ingredient : *result.mutable_ingredients()) {
    ingredient.clear_uri();
    ingredient.clear_pinned_uri();
  }
  return result.DebugString();
}

class SweepElsewhereTest : public testing::Test {
 protected:
  static constexpr int kIngredients = 3;

  // The files of the sweep, by their paths in its folder.
  static std::vector<std::string> Names() {
    std::vector<std::string> names = {"models/linear.pt", "data.safetensors"};
    for (int i = 0; i < kIngredients; ++i) {
      names.push_back(absl::StrCat("good_", i, ".safetensors"));
    }
    return names;
  }

  // The sweep's job, over files below `where`.
  v1::JobSpec SpecAt(const std::string& where) const {
    v1::JobSpec spec = sweep_.Spec();
    spec.mutable_model()->set_architecture_uri(where + "models/linear.pt");
    for (int i = 0; i < kIngredients; ++i) {
      spec.mutable_ingredients(i)->set_uri(absl::StrCat(where, "good_", i, ".safetensors"));
    }
    spec.mutable_evaluation()->mutable_held_out()->set_uri(where + "data.safetensors");
    return spec;
  }

  // Of the files as they are when this is first called.
  const std::string& LocalResult() {
    if (local_result_.empty()) {
      ServerProcess server({.workers = 2, .threads_per_worker = 1});
      const v1::Job job = server.Run(sweep_.Spec());
      EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
      local_result_ = WithoutUris(job.report().result());
    }
    return local_result_;
  }

  TinySweep sweep_{/*repeats=*/1, kIngredients};

 private:
  std::string local_result_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_E2E_SWEEP_ELSEWHERE_H_
