// How a watched job is shown: for people (LiveView), for scripts (JsonView), or not at all (Quiet).
// Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_WATCH_VIEW_H_
#define STOCKPOT_CLIENT_CLI_WATCH_VIEW_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/candidate_table.h"
#include "client/cli/environment.h"
#include "client/cli/progress_line.h"
#include "client/cli/text.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

class WatchView {
 public:
  virtual ~WatchView() = default;
  virtual void OnEvent(const v1::JobEvent& event) = 0;
  // Something else is about to be written: takes away what is drawn in place.
  virtual void Pause() {}
  // No event comes any more: what was drawn in place is written to stay.
  virtual void Leave() {}
  // The job has ended; after Leave().
  virtual void OnEnd(const v1::Job& job) = 0;
};

// On a terminal the newest candidates that fit, the soup and the progress line are rewritten in
// place below the lines of events; elsewhere there are only lines of events, candidates among them.
// Ends with the final table.
class LiveView : public WatchView {
 public:
  // `job` gives the metric and names. `environment` must outlive it.
  LiveView(Environment& environment, const v1::Job& job);
  void OnEvent(const v1::JobEvent& event) override;
  void Pause() override;
  void Leave() override;
  void OnEnd(const v1::Job& job) override;

 private:
  // The event's line; "" when there is nothing to say.
  std::string EventLine(const v1::JobEvent& event);
  std::string CandidateLines(const v1::JobEvent::CandidateDecided& decided);
  // What is rewritten in place.
  std::vector<std::string> Block() const;
  void Draw();

  Environment& environment_;
  const Style style_;
  const std::string metric_;
  const std::string held_out_;  // the data set's name
  size_t lines_drawn_ = 0;      // in place
  CandidateTable candidates_;
  ProgressLine progress_;
};

// The view that the flags ask for.
std::unique_ptr<WatchView> MakeWatchView(Environment& environment, const v1::Job& job, bool json,
                                         bool quiet);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_WATCH_VIEW_H_
