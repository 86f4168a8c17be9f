// Recipes against a direct simulation, over many random tables of scores.
#include "server/recipe/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace stockpot {
namespace {

// A score for every blend, decided by the blend and a seed; few distinct values, so ties are
// common. Remembers what was asked to be known.
class Table final : public HeldOutScores {
 public:
  Table(unsigned seed, int distinct) : seed_(seed), distinct_(distinct) {}

  Score Of(const Blend& blend) const {
    std::seed_seq mixed(blend.ingredients.begin(), blend.ingredients.end());
    std::vector<unsigned> words(1);
    mixed.generate(words.begin(), words.end());
    std::mt19937 random(words[0] ^ seed_);
    Score score;
    score.example_count = 100;
    score.top1_correct = static_cast<int64_t>(random() % static_cast<unsigned>(distinct_));
    score.top5_correct = static_cast<int64_t>(random() % static_cast<unsigned>(distinct_));
    score.cross_entropy_sum = static_cast<double>(random() % static_cast<unsigned>(distinct_)) / 4;
    return score;
  }
  std::optional<Score> Find(const Blend& blend) const override {
    if (all_known_ || known_.count(blend.ingredients) > 0) return Of(blend);
    return std::nullopt;
  }
  void Learn(const Blend& blend) { known_.insert(blend.ingredients); }
  void LearnAll() { all_known_ = true; }

 private:
  const unsigned seed_;
  const int distinct_;
  bool all_known_ = false;
  std::set<std::vector<int>> known_;
};

RecipeOptions Uniform(RecipeOptions options) {
  options.recipe.kind = RecipeKind::kUniform;
  return options;
}

// The authors' loop, written out: no state machine, every score at hand. A budget of passes is
// spent on the ingredients in their order, then on candidates.
std::vector<int> SimulateGreedy(const RecipeOptions& options, const Table& table) {
  auto better = [&](const Score& a, const Score& b) {
    switch (options.metric) {
      case Metric::kTop1:
        return a.top1_correct - b.top1_correct;
      case Metric::kTop5:
        return a.top5_correct - b.top5_correct;
      default:
        return static_cast<int64_t>(4 * (b.cross_entropy_sum - a.cross_entropy_sum));
    }
  };
  std::vector<int> order = options.ingredients;
  int64_t passes = std::min<int64_t>(options.max_evaluations, 2 * order.size());
  if (passes < static_cast<int64_t>(order.size())) order.resize(static_cast<size_t>(passes));
  passes -= static_cast<int64_t>(order.size());
  for (size_t i = 0; i < order.size(); ++i) {  // insertion sort: stable and obvious
    for (size_t j = i; j > 0; --j) {
      if (better(table.Of({{order[j]}, {}}), table.Of({{order[j - 1]}, {}})) <= 0) break;
      std::swap(order[j], order[j - 1]);
    }
  }
  Blend soup{{order[0]}, {}};
  for (size_t i = 1; i < order.size() && passes-- > 0; ++i) {
    Blend with = soup;
    with.ingredients.push_back(order[i]);
    const int64_t gain = better(table.Of(with), table.Of(soup));
    const bool accepts =
        options.recipe.acceptance == Acceptance::kStrictImprovement ? gain > 0 : gain >= 0;
    if (accepts) soup = with;
  }
  return soup.ingredients;
}

// Measures what is wanted, in a random order, until the recipe is done; checks on the way that
// steps only grow. `measured` counts.
Decision RunRecipe(const Recipe& recipe, Table* table, std::mt19937* random, int* measured) {
  size_t steps = 0;
  while (true) {
    Decision decision = recipe.Next(*table);
    EXPECT_GE(decision.steps.size(), steps);
    EXPECT_EQ(decision.wanted.empty(), decision.done);
    EXPECT_LE(decision.required, decision.wanted.size());
    if (decision.done) return decision;
    steps = decision.steps.size();
    table->Learn(decision.wanted[(*random)() % decision.wanted.size()]);
    ++*measured;
  }
}

TEST(GreedyRecipe, EqualsADirectSimulation) {
  std::mt19937 random(7);
  int several = 0;
  for (unsigned seed = 0; seed < 600; ++seed) {
    RecipeOptions options;
    const int count = 1 + static_cast<int>(random() % 9);
    for (int i = 0; i < count; ++i) options.ingredients.push_back(2 * i);  // not 0 … n-1
    options.metric = static_cast<Metric>(seed % 3);
    options.recipe.acceptance = static_cast<Acceptance>(seed % 2);
    Table table(seed, 2 + static_cast<int>(random() % 30));
    const std::vector<int> expected = SimulateGreedy(options, table);
    several += expected.size() > 1 ? 1 : 0;

    int measured = 0;
    const Decision decision = RunRecipe(*MakeRecipe(options), &table, &random, &measured);
    EXPECT_EQ(decision.soup.ingredients, expected) << "seed " << seed;
    EXPECT_EQ(measured, 2 * count - 1) << "without speculation nothing more is measured";
    EXPECT_EQ(static_cast<int>(decision.steps.size()), count);
  }
  EXPECT_GT(several, 100) << "the tables must accept now and then";
}

TEST(GreedyRecipe, ABudgetEndsInTheBestSoupSoFar) {
  std::mt19937 random(9);
  for (unsigned seed = 0; seed < 400; ++seed) {
    RecipeOptions options;
    const int count = 1 + static_cast<int>(random() % 7);
    for (int i = 0; i < count; ++i) options.ingredients.push_back(i);
    options.recipe.acceptance = static_cast<Acceptance>(seed % 2);
    options.max_evaluations = 1 + static_cast<int>(random() % 16);
    options.speculation = 1 + static_cast<int>(seed % 4);
    Table table(seed, 9);
    int measured = 0;
    const Decision decision = RunRecipe(*MakeRecipe(options), &table, &random, &measured);
    EXPECT_EQ(decision.soup.ingredients, SimulateGreedy(options, table)) << "seed " << seed;
    const int64_t spent = std::min<int64_t>(options.max_evaluations, 2 * count - 1);
    EXPECT_EQ(decision.evaluations, spent);
    EXPECT_GE(measured, spent);
    EXPECT_TRUE(options.speculation > 1 || measured == spent) << measured << " for " << spent;
    EXPECT_EQ(decision.untried, count - static_cast<int>(decision.steps.size()));
  }
}

TEST(UniformRecipe, ABudgetRanksFewerAndChangesNoWeight) {
  RecipeOptions options;
  options.ingredients = {0, 2, 5, 6};
  options.max_evaluations = 3;
  std::mt19937 random(1);
  Table table(3, 20);
  int measured = 0;
  const Decision decision = RunRecipe(*MakeRecipe(Uniform(options)), &table, &random, &measured);
  EXPECT_EQ(decision.soup, (Blend{{0, 2, 5, 6}, {}}));
  EXPECT_EQ(measured, 3);
  EXPECT_EQ(decision.considered, (std::vector<int>{0, 2}));
  EXPECT_EQ(decision.untried, 2);
}

TEST(GreedyRecipe, SpeculationChangesNothing) {
  std::mt19937 random(8);
  for (unsigned seed = 0; seed < 100; ++seed) {
    RecipeOptions options;
    for (int i = 0; i < 8; ++i) options.ingredients.push_back(i);
    options.recipe.acceptance = static_cast<Acceptance>(seed % 2);
    Table all(seed, 12);
    all.LearnAll();
    const Decision expected = MakeRecipe(options)->Next(all);
    for (int speculation = 1; speculation <= 9; ++speculation) {
      options.speculation = speculation;
      Table table(seed, 12);
      int measured = 0;
      const Decision decision = RunRecipe(*MakeRecipe(options), &table, &random, &measured);
      EXPECT_EQ(decision.soup, expected.soup);
      EXPECT_EQ(decision.order, expected.order);
      ASSERT_EQ(decision.steps.size(), expected.steps.size());
      for (size_t i = 0; i < decision.steps.size(); ++i) {
        EXPECT_EQ(decision.steps[i].candidate, expected.steps[i].candidate);
        EXPECT_EQ(decision.steps[i].accepted, expected.steps[i].accepted);
      }
    }
  }
}

TEST(GreedyRecipe, WantsAtMostItsSpeculationAndRequiresOne) {
  RecipeOptions options;
  options.ingredients = {0, 1, 2, 3, 4, 5};
  options.speculation = 3;
  Table table(1, 50);
  for (int i = 0; i < 6; ++i) table.Learn({{i}, {}});
  const Decision decision = MakeRecipe(options)->Next(table);
  EXPECT_EQ(decision.required, 1u);
  ASSERT_EQ(decision.wanted.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(decision.wanted[i].ingredients,
              (std::vector<int>{decision.order[0], decision.order[i + 1]}));
  }
}

// Every score equal: the order is the spec's, and only "not worse" accepts.
TEST(GreedyRecipe, TiesFollowTheIngredientOrder) {
  RecipeOptions options;
  options.ingredients = {3, 5, 9};
  Table table(1, 1);
  table.LearnAll();
  Decision decision = MakeRecipe(options)->Next(table);
  EXPECT_EQ(decision.order, options.ingredients);
  EXPECT_EQ(decision.soup.ingredients, (std::vector<int>{3}));
  options.recipe.acceptance = Acceptance::kNotWorse;
  decision = MakeRecipe(options)->Next(table);
  EXPECT_EQ(decision.soup.ingredients, options.ingredients);
}

TEST(GreedyRecipe, OneIngredientIsTheSoup) {
  RecipeOptions options;
  options.ingredients = {4};
  Table table(1, 10);
  EXPECT_EQ(MakeRecipe(options)->Next(table).wanted, (std::vector<Blend>{{{4}, {}}}));
  table.LearnAll();
  const Decision decision = MakeRecipe(options)->Next(table);
  EXPECT_TRUE(decision.done);
  EXPECT_EQ(decision.soup, (Blend{{4}, {}}));
}

TEST(UniformRecipe, IsTheMeanOfAllInSpecOrder) {
  RecipeOptions options;
  options.ingredients = {0, 2, 5};
  std::mt19937 random(1);
  Table table(3, 20);
  int measured = 0;
  const Decision decision = RunRecipe(*MakeRecipe(Uniform(options)), &table, &random, &measured);
  EXPECT_EQ(decision.soup, (Blend{{0, 2, 5}, {}}));
  EXPECT_EQ(measured, 4);
  EXPECT_EQ(decision.order.size(), 3u);
}

TEST(CompareScores, ComparesWhatTheMetricSays) {
  const Score a{100, 60, 90, 12.5};
  const Score b{100, 61, 90, 12.25};
  EXPECT_LT(CompareScores(Metric::kTop1, a, b), 0);
  EXPECT_EQ(CompareScores(Metric::kTop5, a, b), 0);
  EXPECT_GT(CompareScores(Metric::kCrossEntropy, b, a), 0);
}

}  // namespace
}  // namespace stockpot
