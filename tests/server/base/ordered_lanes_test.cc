#include "server/base/ordered_lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/parallel.h"

namespace stockpot {
namespace {

// Pieces that fail where they are told to.
struct Course {
  size_t pieces = 0, window = 1;
  int lanes = 1;
  int fails_to_begin = -1, fails_to_make = -1, fails_to_take = -1;
};

struct Outcome {
  absl::Status result;
  std::vector<size_t> begun, taken;
  int made = 0, most_alive = 0;
};

Outcome Follow(const Course& course) {
  Outcome outcome;
  std::atomic<int> made = 0, inside = 0;
  const auto fails = [](size_t piece, int at, const char* step) {
    return static_cast<int>(piece) == at ? absl::InternalError(absl::StrCat(step, " ", piece))
                                         : absl::OkStatus();
  };
  const auto alone = [&](auto&& step) {
    EXPECT_EQ(inside.fetch_add(1), 0) << "two at once";
    absl::Status status = step();
    inside.fetch_sub(1);
    return status;
  };
  const auto begin = [&](size_t piece) {
    return alone([&] {
      outcome.begun.push_back(piece);
      outcome.most_alive = std::max(outcome.most_alive,
                                    static_cast<int>(outcome.begun.size() - outcome.taken.size()));
      return fails(piece, course.fails_to_begin, "begin");
    });
  };
  const auto make = [&](size_t piece) {
    std::mt19937 random(static_cast<unsigned>(piece));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    ++made;
    return fails(piece, course.fails_to_make, "make");
  };
  const auto take = [&](size_t piece) {
    return alone([&] {
      outcome.taken.push_back(piece);
      return fails(piece, course.fails_to_take, "take");
    });
  };
  OrderedLanes run(course.pieces, course.window, {begin, make, take});
  OnThreads(course.lanes, [&] { run.Work(); });
  outcome.result = run.result();
  outcome.made = made;
  return outcome;
}

std::vector<size_t> FirstNumbers(size_t count) {
  std::vector<size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(OrderedLanes, TakesAllInOrderAndNeverHasMoreThanTheWindow) {
  for (const Course& course : {Course{0, 1, 2}, Course{1, 1, 3}, Course{50, 1, 3}, Course{50, 2, 3},
                               Course{200, 8, 4}, Course{7, 100, 4}}) {
    const Outcome outcome = Follow(course);
    EXPECT_TRUE(outcome.result.ok());
    EXPECT_EQ(outcome.begun, FirstNumbers(course.pieces));
    EXPECT_EQ(outcome.taken, FirstNumbers(course.pieces));
    EXPECT_EQ(outcome.made, static_cast<int>(course.pieces));
    EXPECT_LE(outcome.most_alive, static_cast<int>(course.window));
  }
}

// Whatever thread is first.
TEST(OrderedLanes, EndsWithTheFirstFailureInOrder) {
  struct Case {
    Course course;
    std::string says;
    size_t taken = 0;
  };
  for (const Case& test :
       {Case{{60, 8, 4, 20, -1, -1}, "begin 20", 20}, Case{{60, 8, 4, -1, 20, -1}, "make 20", 20},
        Case{{60, 8, 4, -1, -1, 20}, "take 20", 21}, Case{{60, 8, 4, 24, 20, 22}, "make 20", 20},
        Case{{60, 8, 4, 20, 21, 18}, "take 18", 19}, Case{{60, 1, 4, 0, -1, -1}, "begin 0", 0},
        Case{{60, 60, 1, -1, 59, -1}, "make 59", 59}}) {
    for (int round = 0; round < 5; ++round) {
      const Outcome outcome = Follow(test.course);
      EXPECT_EQ(outcome.result.message(), test.says);
      EXPECT_EQ(outcome.taken, FirstNumbers(test.taken)) << test.says;
    }
  }
}

}  // namespace
}  // namespace stockpot
