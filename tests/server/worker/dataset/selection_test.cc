#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "server/base/status.h"
#include "server/worker/dataset/example_selection.h"
#include "server/worker/dataset/label_resolution.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ExampleSelection Subset(double fraction, int64_t count, uint64_t seed, bool complement = false) {
  return {
      .draws = true, .fraction = fraction, .count = count, .seed = seed, .complement = complement};
}

std::string Name(size_t i) { return "example " + std::to_string(i); }

TEST(ExampleSelection, SubsetAndComplementAreDisjointAndAll) {
  for (const uint64_t seed : {0u, 1u, 77u}) {
    for (const size_t n : {2u, 10u, 997u}) {
      const auto subset = SelectExamples(n, Subset(0.3, 0, seed)).value();
      const auto rest = SelectExamples(n, Subset(0.3, 0, seed, true)).value();
      EXPECT_EQ(subset.size(), static_cast<size_t>(0.3 * static_cast<double>(n) + 0.5));
      EXPECT_TRUE(std::is_sorted(subset.begin(), subset.end()));
      std::vector<size_t> both;
      std::merge(subset.begin(), subset.end(), rest.begin(), rest.end(), std::back_inserter(both));
      ASSERT_EQ(both.size(), n);
      for (size_t i = 0; i < n; ++i) EXPECT_EQ(both[i], i);
    }
  }
}

TEST(ExampleSelection, LargerSubsetsHoldSmallerOnes) {
  const auto large = SelectExamples(1000, Subset(0, 500, 3)).value();
  const auto small = SelectExamples(1000, Subset(0, 20, 3)).value();
  EXPECT_TRUE(std::includes(large.begin(), large.end(), small.begin(), small.end()));
  EXPECT_NE(small, SelectExamples(1000, Subset(0, 20, 4)).value());
}

// What spec.proto's Subset documents, by the first outputs of SplitMix64 as published
// (https://prng.di.unimi.it/splitmix64.c) from state 1234567: 6457827717110365317,
// 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821.
TEST(ExampleSelection, IsTheDocumentedOne) {
  EXPECT_THAT(SelectExamples(5, Subset(0, 1, 1234567)).value(), ElementsAre(1));
  EXPECT_THAT(SelectExamples(5, Subset(0, 2, 1234567)).value(), ElementsAre(1, 3));
  EXPECT_THAT(SelectExamples(5, Subset(0, 3, 1234567)).value(), ElementsAre(0, 1, 3));
  EXPECT_THAT(SelectExamples(5, Subset(0, 4, 1234567)).value(), ElementsAre(0, 1, 2, 3));
}

TEST(ExampleSelection, LimitComesLast) {
  ExampleSelection selection = Subset(0.5, 0, 9);
  selection.limit = 2;
  auto all = SelectExamples(10, Subset(0.5, 0, 9)).value();
  all.resize(2);
  EXPECT_EQ(SelectExamples(10, selection).value(), all);
  EXPECT_THAT(SelectExamples(3, {.limit = 7}).value(), ElementsAre(0, 1, 2));
}

TEST(ExampleSelection, NothingLeftIsAnError) {
  for (const auto& [selection, reason] : std::vector<std::pair<ExampleSelection, const char*>>{
           {Subset(0, 11, 0), "DATA_SET_INVALID"},
           {Subset(0, 10, 0, true), "DATA_SET_EMPTY"},
           {Subset(0.01, 0, 0), "DATA_SET_EMPTY"}}) {
    EXPECT_EQ(GetErrorFacts(SelectExamples(10, selection).status()).reason, reason);
  }
  EXPECT_EQ(GetErrorFacts(SelectExamples(0, {}).status()).reason, "DATA_SET_EMPTY");
}

struct Resolution {
  RawLabels raw;
  std::vector<std::string> class_names;
  std::map<std::string, std::string> label_map;
  std::vector<int64_t> classes;
  std::vector<std::string> names;
};

TEST(ResolveLabels, GivesClassesAndNames) {
  const RawLabels numbers{{3, 0, 3}, {}, false};
  const RawLabels texts{{0, 1, 0}, {"dog", "cat"}, false};
  const RawLabels digits{{0, 1, 0}, {"10", "2"}, false};
  const RawLabels features{{1, 0, 1}, {"dog", "cat"}, true};
  const RawLabels mixed{{0, 1, 2}, {"1", "b", ""}, false};
  const Resolution cases[] = {
      {numbers, {}, {}, {3, 0, 3}, {}},
      {numbers, {"a", "b", "c", "d"}, {}, {3, 0, 3}, {"a", "b", "c", "d"}},
      {numbers, {}, {{"3", "0"}, {"0", "1"}}, {0, 1, 0}, {}},
      {numbers, {}, {{"3", "x"}, {"0", ""}}, {0, -1, 0}, {"x"}},
      {numbers, {"y", "x"}, {{"3", "x"}, {"0", "0"}}, {1, 0, 1}, {"y", "x"}},
      {texts, {}, {}, {1, 0, 1}, {"cat", "dog"}},
      {texts, {"dog", "cow", "cat"}, {}, {0, 2, 0}, {"dog", "cow", "cat"}},
      {digits, {}, {}, {10, 2, 10}, {}},
      {digits, {"2", "10"}, {}, {1, 0, 1}, {"2", "10"}},
      {features, {}, {}, {1, 0, 1}, {"dog", "cat"}},
      {features, {"cat", "dog"}, {}, {0, 1, 0}, {"cat", "dog"}},
      {features, {}, {{"cat", "7"}, {"dog", "2"}}, {7, 2, 7}, {}},
      {features, {}, {{"1", "7"}, {"0", "2"}}, {7, 2, 7}, {}},
      {mixed, {"b", "1", ""}, {}, {1, 0, 2}, {"b", "1", ""}},
      {mixed, {}, {{"1", "0"}, {"b", "1"}, {"", ""}}, {0, 1, -1}, {}},
      {{{0, 1, 0}, {"n01", "7x"}, false}, {}, {}, {1, 0, 1}, {"7x", "n01"}},
  };
  for (const Resolution& c : cases) {
    const auto resolved = ResolveLabels(c.raw, c.class_names, c.label_map, Name);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->classes, c.classes);
    EXPECT_EQ(resolved->class_names, c.names);
  }
}

TEST(ResolveLabels, RefusesWhatIsNoClass) {
  const RawLabels numbers{{3, -1}, {}, false}, texts{{0}, {"cat"}, false};
  const RawLabels huge{{int64_t{1} << 31}, {}, false}, beyond{{2}, {"a", "b"}, true};
  const struct {
    RawLabels raw;
    std::vector<std::string> class_names;
    std::map<std::string, std::string> label_map;
    const char* reason;
  } cases[] = {
      {numbers, {}, {}, "LABEL_OUT_OF_RANGE"},
      {huge, {}, {}, "LABEL_OUT_OF_RANGE"},
      {beyond, {}, {}, "LABEL_OUT_OF_RANGE"},
      {{{3}, {}, false}, {"a", "b"}, {}, "LABEL_OUT_OF_RANGE"},
      {texts, {"dog"}, {}, "DATA_SET_INVALID"},
      {texts, {"cat", "cat"}, {}, "DATA_SET_INVALID"},
      {texts, {}, {{"dog", "x"}}, "DATA_SET_INVALID"},
      {texts, {"dog"}, {{"cat", "x"}}, "DATA_SET_INVALID"},
      {{{0, 1}, {"cat", ""}, false}, {}, {}, "DATA_SET_INVALID"},
      {{{0, 1}, {"3", ""}, false}, {}, {}, "DATA_SET_INVALID"},
      {{{0, 1}, {"10", "cat"}, false}, {}, {}, "DATA_SET_INVALID"},
      {{{0, 1}, {"10.0", "2.0"}, false}, {}, {}, "DATA_SET_INVALID"},
      {{{0, 1}, {"10", "nan"}, false}, {}, {}, "DATA_SET_INVALID"},
      {{{0}, {"1e3"}, false}, {}, {}, "DATA_SET_INVALID"},
      {texts, {}, {{"cat", "2.5"}}, "DATA_SET_INVALID"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ResolveLabels(c.raw, c.class_names, c.label_map, Name).status();
    EXPECT_EQ(GetErrorFacts(status).reason, c.reason) << status;
  }
}

}  // namespace
}  // namespace stockpot
