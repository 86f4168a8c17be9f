#include "server/worker/evaluation/guard.h"

#include <c10/util/Exception.h>
#include <torch/csrc/jit/runtime/jit_exception.h>

#include <exception>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxLines = 4;
constexpr size_t kMaxBytes = 600;

absl::Status MemoryRanOut(absl::string_view doing) {
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat(
          doing, ": out of memory; a smaller batch size or a device with more memory helps")),
      "OUT_OF_MEMORY");
}

// The interpreter rethrows what an operator threw as a plain std::runtime_error: only the text
// tells.
bool SaysMemoryRanOut(absl::string_view what) {
  for (const absl::string_view words :
       {"CUDA out of memory", "CUDA error: out of memory", "can't allocate memory",
        "std::bad_alloc", "_STATUS_ALLOC_FAILED", "_ALLOCATION_FAILED"}) {
    if (absl::StrContains(what, words)) return true;
  }
  return false;
}

bool SaysInputsDoNotFit(absl::string_view what) {
  for (const absl::string_view words :
       {"shape", "size", "dimension", "channels", "dtype", "scalar type", "of type"}) {
    if (absl::StrContains(what, words)) return true;
  }
  return false;
}

}  // namespace

std::string BriefMessage(absl::string_view what) {
  // After a listing of the program comes "RuntimeError: …": that is what went wrong.
  for (const absl::string_view marker : {"\nRuntimeError: ", "\ntorch.jit.Error: "}) {
    const size_t at = what.rfind(marker);
    if (at != absl::string_view::npos) what.remove_prefix(at + marker.size());
  }
  std::vector<absl::string_view> lines;
  for (absl::string_view line : absl::StrSplit(what, '\n', absl::SkipWhitespace())) {
    if (absl::StartsWith(line, "Exception raised from") || absl::StartsWith(line, "frame #")) break;
    lines.push_back(absl::StripTrailingAsciiWhitespace(line));
    if (lines.size() == kMaxLines) break;
  }
  std::string brief = absl::StrJoin(lines, "\n");
  if (brief.size() > kMaxBytes) {
    brief.resize(kMaxBytes);
    absl::StrAppend(&brief, " …");
  }
  return brief;
}

absl::Status StatusOfCurrentException(absl::string_view doing) {
  std::string what = "an exception of unknown type";
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return MemoryRanOut(doing);
  } catch (const c10::OutOfMemoryError&) {
    return MemoryRanOut(doing);
  } catch (const torch::jit::JITException& raised) {
    const std::string text = raised.getOriginalMsg().value_or(raised.what());
    return WithReason(absl::InternalError(absl::StrCat(doing, ": ", BriefMessage(text))),
                      "MODEL_FAILED");
  } catch (const c10::Error& error) {
    what = error.what_without_backtrace();
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
  }
  if (SaysMemoryRanOut(what)) return MemoryRanOut(doing);
  const std::string brief = BriefMessage(what);
  const std::string message = absl::StrCat(doing, ": ", brief);
  if (absl::StrContains(brief, "CUDA error")) {
    return WithReason(absl::InternalError(message), "DEVICE_LOST");
  }
  if (SaysInputsDoNotFit(brief)) {
    return WithReason(absl::InvalidArgumentError(message), "MODEL_INPUT_MISMATCH");
  }
  return WithReason(absl::InternalError(message), "MODEL_FAILED");
}

}  // namespace stockpot
