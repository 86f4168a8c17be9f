// Who a scripted worker says it is. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_WORKER_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_WORKER_H_

#include <string>

#include "server/control/job/engine.h"

namespace stockpot {

inline WorkerInfo FakeWorker(const std::string& id, const std::string& numerics) {
  return {id, numerics.empty() ? std::string(kNoDevice) : "cpu", "fake", numerics};
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_WORKER_H_
