#include "server/base/json_reader.h"

#include <gtest/gtest.h>

namespace stockpot {
namespace {

TEST(JsonReader, ReadsIntegersAsNumbersAndAsDecimalStrings) {
  const Json json = *ParseJson(R"({"a": 7, "b": "9007199254740993", "c": null})");
  JsonReader reader(json, "");
  int64_t a = 0, b = 0, c = 3;
  reader.Read("a", &a);
  reader.Read("b", &b);
  reader.Read("c", &c);
  EXPECT_EQ(a, 7);
  EXPECT_EQ(b, 9007199254740993);
  EXPECT_EQ(c, 3) << "null leaves the default";
  EXPECT_TRUE(reader.status().ok());
}

TEST(JsonReader, EveryViolationNamesItsPath) {
  const Json json = *ParseJson(
      R"({"list": [{"uri": 1}, 2, {"size": 1e99}], "flag": "yes", "names": ["a", 3], "n": 99999999999})");
  JsonReader reader(json, "spec");
  for (JsonReader& item : reader.List("list")) {
    std::string uri;
    int64_t size = 0;
    item.Read("uri", &uri);
    item.Read("size", &size);
  }
  bool flag = false;
  std::vector<std::string> names;
  int n = 0;
  reader.Read("flag", &flag);
  reader.Read("names", &names);
  reader.Read("n", &n);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : GetErrorFacts(reader.status()).violations) {
    fields.push_back(violation.field);
  }
  EXPECT_EQ(fields,
            (std::vector<std::string>{"spec.list[1]", "spec.list[0].uri", "spec.list[2].size",
                                      "spec.flag", "spec.names[1]", "spec.n"}));
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JsonReader, ReadsTimesAsTheJsonMappingWritesThem) {
  const std::pair<const char*, absl::Duration> kCases[] = {
      {"90s", absl::Seconds(90)},
      {"0s", absl::ZeroDuration()},
      {"1.5s", absl::Milliseconds(1500)},
      {"0.000000001s", absl::Nanoseconds(1)},
  };
  for (const auto& [text, expected] : kCases) {
    const Json json = {{"time", text}};
    JsonReader reader(json, "");
    absl::Duration time;
    reader.Read("time", &time);
    EXPECT_TRUE(reader.status().ok()) << text;
    EXPECT_EQ(time, expected) << text;
  }
  for (const Json& wrong : {Json("90"), Json("s"), Json(""), Json("-1s"), Json("1h"), Json("1m0s"),
                            Json(90), Json("1e3s"), Json("1..2s")}) {
    const Json json = {{"time", wrong}};
    JsonReader reader(json, "");
    absl::Duration time = absl::Seconds(7);
    reader.Read("time", &time);
    EXPECT_FALSE(reader.status().ok()) << wrong;
    EXPECT_EQ(time, absl::Seconds(7)) << wrong;
  }
}

TEST(JsonReader, HostileTextIsRefusedWithoutRecursion) {
  EXPECT_FALSE(ParseJson(std::string(1 << 20, '[')).ok());
  EXPECT_FALSE(ParseJson(std::string(200, '[') + std::string(200, ']')).ok());
  EXPECT_FALSE(ParseJson("{\"a\":").ok());
  EXPECT_FALSE(ParseJson("").ok());
}

}  // namespace
}  // namespace stockpot
