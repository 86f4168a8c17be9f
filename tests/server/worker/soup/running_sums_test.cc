#include "server/worker/soup/running_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace stockpot {
namespace {

using Sweep = std::vector<std::shared_ptr<const StateDict>>;

constexpr int64_t kElements = 3 * 4096 + 7;

// Tensors of four dtypes, the last one an integer, that count how often they are read.
class CountingModel final : public StateDict {
 public:
  explicit CountingModel(unsigned seed) {
    std::mt19937 random(seed);
    for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kBFloat16, DType::kInt32}) {
      tensors_.push_back({std::string(DTypeName(dtype)), dtype, {kElements}});
      std::string bytes(tensors_.back().byte_count(), 0);
      for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(random() % 64);
      bytes_.push_back(std::move(bytes));
    }
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.byte_count() < b.byte_count(); });
    std::sort(bytes_.begin(), bytes_.end(),
              [](const auto& a, const auto& b) { return a.size() < b.size(); });
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t index, std::vector<char>*) const override {
    ++reads;
    if (broken) return absl::DataLossError("broken");
    return absl::MakeConstSpan(bytes_[index]);
  }
  absl::string_view format() const override { return "memory"; }
  const std::vector<std::string>& notes() const override { return notes_; }

  mutable int reads = 0;
  bool broken = false;

 private:
  std::vector<TensorInfo> tensors_;
  std::vector<std::string> bytes_;
  std::vector<std::string> notes_;
};

std::string MakeBlend(const Sweep& models, const std::vector<double>& coefficients, size_t index,
                      KeptSum kept, BlockRunner parallel = InTurn) {
  std::string out(models[0]->tensors()[index].byte_count(), '?');
  const absl::Status status = BlendTensor(models, coefficients, index, std::nullopt,
                                          absl::MakeSpan(out.data(), out.size()), kept, parallel);
  return status.ok() ? out : std::string(status.message());
}

void InTwoThreads(int64_t blocks, absl::FunctionRef<void(int64_t, int64_t)> work) {
  std::thread other([&] { work(0, blocks / 2); });
  work(blocks / 2, blocks);
  other.join();
}

class RunningSumsTest : public testing::Test {
 protected:
  RunningSumsTest() {
    for (unsigned seed = 0; seed < 8; ++seed) {
      made_.push_back(std::make_shared<CountingModel>(seed));
    }
  }

  Sweep Pick(const std::vector<size_t>& which) const {
    Sweep models;
    for (const size_t i : which) models.push_back(made_[i]);
    return models;
  }

  // With the sums, and that it is what it would be without. How many tensors were read for it.
  int Make(const std::vector<size_t>& which, const std::vector<double>& coefficients = {}) {
    const Sweep models = Pick(which);
    int reads = 0;
    for (const auto& model : made_) reads -= model->reads;
    std::vector<std::string> found;
    sums_.Begin(models, coefficients);
    for (size_t t = 0; t < models[0]->tensors().size(); ++t) {
      found.push_back(MakeBlend(models, coefficients, t, sums_.Of(t), InTwoThreads));
    }
    sums_.End();
    for (const auto& model : made_) reads += model->reads;
    for (size_t t = 0; t < found.size(); ++t) {
      EXPECT_TRUE(found[t] == MakeBlend(models, coefficients, t, {})) << "tensor " << t;
    }
    return reads;
  }

  std::vector<std::shared_ptr<CountingModel>> made_;
  RunningSums sums_;
};

// Three tensors have sums; the integers come from the first ingredient.
TEST_F(RunningSumsTest, ACandidateReadsItselfAloneAndWhatWasAcceptedSince) {
  EXPECT_EQ(Make({4, 2, 0}), 3 * 3 + 1) << "the first one reads all";
  EXPECT_EQ(Make({4, 2, 1}), 3 + 1) << "0 was rejected";
  EXPECT_EQ(Make({4, 2, 3}), 3 + 1) << "so was 1";
  EXPECT_EQ(Make({4, 2, 3, 5}), 2 * 3 + 1) << "3 was accepted";
  EXPECT_EQ(Make({4, 2, 3, 6}), 3 + 1);
}

TEST_F(RunningSumsTest, OtherBlendsInBetweenDoNotMatter) {
  Make({4, 2, 0});
  Make({7});
  Make({1, 4});
  Make({4, 2, 0}, {0.5, 0.25, 0.25});
  EXPECT_EQ(Make({4, 2, 5}), 3 + 1);
}

TEST_F(RunningSumsTest, AnotherSoupBeginsAnew) {
  Make({4, 2, 0, 1});
  EXPECT_EQ(Make({4, 2, 0}), 3 * 3 + 1) << "a sum cannot be taken back";
  EXPECT_EQ(Make({2, 4, 0}), 3 * 3 + 1) << "another order rounds otherwise";
}

TEST_F(RunningSumsTest, NothingIsKeptOfABlendThatFailed) {
  Make({4, 2, 0});
  made_[5]->broken = true;
  const Sweep models = Pick({4, 2, 1, 5});
  sums_.Begin(models, {});
  for (size_t t = 0; t < 2; ++t) EXPECT_EQ(MakeBlend(models, {}, t, sums_.Of(t)), "broken");
  EXPECT_EQ(Make({4, 2, 1, 6}), 4 * 3 + 1);
}

TEST_F(RunningSumsTest, AnySequenceGivesTheBitsOfBlendTensor) {
  std::mt19937 random(1);
  std::vector<size_t> soup;
  for (int turn = 0; turn < 60; ++turn) {
    if (soup.size() > 6 || random() % 12 == 0) soup.clear();
    std::vector<size_t> candidate = soup;
    candidate.push_back(random() % made_.size());
    Make(candidate);
    if (random() % 2 == 0) soup = candidate;
  }
}

}  // namespace
}  // namespace stockpot
