// What a report tells beside scores (JobSpec.analysis): calibration, angles, pairs, the landscape.
// Internal to recipe/: see plan.h.
//
// Source: Wortsman et al. 2022, section 4 and equation 2 (pairs), section 3.4 and appendix E
// (angles), Figure 2 (landscape), appendix (calibration); Nixon et al. 2019 (calibration error over
// bins of equal mass); Guo et al. 2017 (temperature scaling).
// Thread safety: the functions are thread-safe; a PlanState is one thread's.
#ifndef STOCKPOT_SERVER_RECIPE_ANALYSIS_H_
#define STOCKPOT_SERVER_RECIPE_ANALYSIS_H_

#include <utility>
#include <vector>

#include "server/recipe/plan_state.h"

namespace stockpot {

// Measures that an analysis is made of. Empty unless the analysis is asked for.
std::vector<std::pair<int, Blend>> AnalysisMeasures(const PlanState& state);

// Tasks other than measures, as far as what they need is known. All recipes are done.
std::vector<AnalysisTask> AnalysisTasks(const PlanState& state);

// Adds what is known to the report: JSON mapping of stockpot.v1.ReportResult.
void AddAnalysis(const PlanState& state, Json* report);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_ANALYSIS_H_
