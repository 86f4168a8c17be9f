// A client that goes on through every crash: it sends its request again, watches from where it was,
// and keeps its own record of what it was told. The record is the oracle: it is outside the store.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_E2E_PATIENT_CLIENT_H_
#define STOCKPOT_TESTS_E2E_PATIENT_CLIENT_H_

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/server_process/server_process.h"

namespace stockpot {

class PatientClient {
 public:
  explicit PatientClient(v1::JobSpec spec) : spec_(std::move(spec)) {}

  // With the one request_id. False: the server did not answer.
  bool CreateOrFind(ServerProcess& server);

  enum class Watched { kEnded, kTimeOver, kBroken };
  // From where it was, until the job ends, the time is over, `stop` likes an event (kTimeOver) or
  // the server is gone.
  Watched Watch(ServerProcess& server, std::chrono::milliseconds time,
                const std::function<bool(const v1::JobEvent&)>& stop = nullptr);
  v1::Job Get(ServerProcess& server);

  const std::string& name() const { return name_; }
  const std::vector<v1::JobEvent>& events() const { return events_; }

  // Every event came once and in order, and nothing was measured twice.
  void ExpectEveryEventOnceAndNothingMeasuredTwice() const;
  // Reads every file of the ended job, whole; expects each to be as long and to have the sum that
  // the job tells. Files by name.
  std::map<std::string, std::string> Download(ServerProcess& server);

 private:
  const v1::JobSpec spec_;
  std::string name_;
  std::vector<v1::JobEvent> events_;
};

// No server gave a task after one had stored that it ended well: by its log, not by its store.
void ExpectNoTaskGivenAgain(const std::string& log_file);

// The job ended well, and its report and soup are those of `undisturbed`, a job of the same name.
void ExpectEqualResult(const v1::Job& job, const v1::Job& undisturbed);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_E2E_PATIENT_CLIENT_H_
