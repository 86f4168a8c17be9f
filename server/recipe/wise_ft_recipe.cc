#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/recipe/recipe_parts.h"

namespace stockpot {
namespace {

// Another recipe, then the choice of how much of the base stays in its soup.
class WiseFtRecipe final : public Recipe {
 public:
  WiseFtRecipe(RecipeOptions options, std::unique_ptr<Recipe> soup)
      : options_(std::move(options)), soup_(std::move(soup)) {}

  std::string version() const override { return absl::StrCat(soup_->version(), "+wise_ft/1"); }

  std::vector<std::string> choices() const override {
    std::vector<std::string> choices = soup_->choices();
    choices.push_back(
        absl::StrCat("wise_ft=", absl::StrJoin(options_.recipe.wise_ft->coefficients, ",")));
    return choices;
  }

  Decision Next(const HeldOutScores& scores) const override {
    Decision decision = soup_->Next(scores);
    if (!decision.done) return decision;
    const Blend soup = decision.soup;
    decision.before_wise_ft = soup;
    std::optional<Score> best = scores.Find(soup);
    for (const double coefficient : options_.recipe.wise_ft->coefficients) {
      if (coefficient == 1) continue;
      if (decision.evaluations >= options_.max_evaluations) break;
      Blend blend = Interpolate(soup, coefficient);
      blend.reestimated = options_.reestimate && blend.ingredients.size() > 1;
      const std::optional<Score> score = scores.Find(blend);
      if (!score.has_value()) {
        decision.wanted.push_back(std::move(blend));
        continue;
      }
      if (decision.wanted.empty()) ++decision.evaluations;
      if (best.has_value() && CompareScores(options_.metric, *score, *best) <= 0) continue;
      best = score;
      decision.soup = std::move(blend);
      decision.wise_ft = coefficient;
    }
    decision.required = decision.wanted.size();
    decision.done = decision.wanted.empty();
    return decision;
  }

 private:
  const RecipeOptions options_;
  const std::unique_ptr<Recipe> soup_;
};

}  // namespace

std::unique_ptr<Recipe> MakeWiseFtRecipe(RecipeOptions options, std::unique_ptr<Recipe> soup) {
  return std::make_unique<WiseFtRecipe>(std::move(options), std::move(soup));
}

}  // namespace stockpot
