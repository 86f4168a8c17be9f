#include "client/cli/private_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

TEST(PrivateServer, MayRunAndFetchWhatTheJobNamesAndNoMore) {
  v1::JobSpec spec;
  EXPECT_THAT(RightsFor(spec), UnorderedElementsAre("--allowed_root=/", "--allowed_output_root=/"));
  spec.mutable_model()->set_architecture_uri("file:///arch/model.pt");
  spec.mutable_model()->set_base_uri("/base.safetensors");
  spec.add_ingredients()->set_uri("hf://org/sweep/a.safetensors");
  spec.add_ingredients()->set_uri("hf://org/sweep/b.safetensors");
  spec.add_ingredients()->set_uri_pattern("s3://bucket/2026-*/best.safetensors");
  spec.mutable_evaluation()->mutable_held_out()->set_uri("https://host");
  spec.mutable_output()->set_output_uri("s3://soups/mine");
  EXPECT_THAT(
      RightsFor(spec),
      UnorderedElementsAre("--allowed_root=/", "--allowed_output_root=/",
                           "--allowed_architecture_prefix=/arch/model.pt",
                           "--allowed_compiled_architecture_prefix=/arch/model.pt",
                           "--allowed_uri_prefix=hf://org/sweep/",
                           "--allowed_uri_prefix=s3://bucket/", "--allowed_uri_prefix=https://host",
                           "--allowed_output_uri_prefix=s3://soups/mine"));
}

TEST(Run, SaysThatTheServerIsNotInstalled) {
  ClientHarness client;
  const auto outcome = client.Run({"run", "--architecture", "/a"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("stockpotd is not installed beside stockpot"));
}

}  // namespace
}  // namespace stockpot::cli
