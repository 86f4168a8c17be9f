#include "server/base/status.h"

#include <gtest/gtest.h>

namespace stockpot {
namespace {

ErrorFacts SomeFacts() {
  ErrorFacts facts;
  facts.reason = "CHECKPOINT_MISMATCH";
  facts.metadata = {{"tensor", "fc.weight"}, {"odd", "quote\" and \xff not UTF-8"}};
  facts.violations = {{"spec.ingredients[3]", "shape"}, {"spec.model", "x"}};
  facts.retry_after = absl::Milliseconds(1500);
  return facts;
}

TEST(Status, FactsSurviveAnnotationAndSerialization) {
  const absl::Status original =
      WithFacts(absl::InvalidArgumentError("tensor 'fc.weight'"), SomeFacts());
  const absl::Status copy =
      ParseSerializedStatus(SerializeStatus(Annotate(original, "checkpoint m7")));
  EXPECT_EQ(copy.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(copy.message(), "checkpoint m7: tensor 'fc.weight'");
  const ErrorFacts facts = GetErrorFacts(copy);
  EXPECT_EQ(facts.reason, "CHECKPOINT_MISMATCH");
  EXPECT_EQ(facts.metadata.at("tensor"), "fc.weight");
  ASSERT_EQ(facts.violations.size(), 2u);
  EXPECT_EQ(facts.violations[0].field, "spec.ingredients[3]");
  EXPECT_EQ(facts.retry_after, absl::Milliseconds(1500));
}

TEST(Status, LaterFactsAddToEarlierOnes) {
  absl::Status status = WithReason(absl::NotFoundError("gone"), "CHECKPOINT_NOT_FOUND");
  status = WithMetadata(status, "ingredient", "m1");
  status = WithMetadata(status, "uri", "/m1");
  const ErrorFacts facts = GetErrorFacts(status);
  EXPECT_EQ(facts.reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(facts.metadata.size(), 2u);
}

TEST(Status, OkStaysOk) {
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
  EXPECT_TRUE(WithReason(absl::OkStatus(), "X").ok());
  EXPECT_TRUE(ParseSerializedStatus(SerializeStatus(absl::OkStatus())).ok());
}

TEST(Status, WhatIsNotASerializedStatusIsInternal) {
  for (const char* text : {"", "{", "[]", "7", "{\"code\":99}", "{\"code\":\"x\"}", "{}",
                           "{\"code\":5,\"message\":7}"}) {
    EXPECT_EQ(ParseSerializedStatus(text).code(), absl::StatusCode::kInternal) << text;
  }
}

}  // namespace
}  // namespace stockpot
