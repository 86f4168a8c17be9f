// Reads the pickle of a torch.save file as data. The set of opcodes is closed (protocols 2 to 5, as
// pickle writes them: no extension registry, no buffers out of band, no protocol 0), each one
// checks the types of what it takes, and nothing is ever imported, called or run.
//
// Source: Lib/pickletools.py of CPython 3.13.
// Ownership: the result views `bytes`, which must outlive it.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_READER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_READER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/pickle_value.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

struct Pickle {
  PickleHeap heap;
  PickleRef root = 0;
};

// Errors name the byte: INVALID_ARGUMENT (an unknown opcode, a wrong type, over a limit, trailing
// bytes), DATA_LOSS (ends before STOP).
absl::StatusOr<Pickle> ReadPickle(absl::string_view bytes, const CheckpointLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_READER_H_
