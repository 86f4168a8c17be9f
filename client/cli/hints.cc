#include "client/cli/hints.h"

namespace stockpot::cli {
namespace {

struct Hint {
  absl::string_view reason;
  absl::string_view what_to_do;
};

constexpr Hint kHints[] = {
    {"INVALID_FIELD", "mend the fields named above"},
    {"CHECKPOINT_NOT_FOUND", "mend the ingredient's path"},
    {"CHECKPOINT_INVALID", "mend the checkpoint, or leave it out (--on-bad-ingredient skip)"},
    {"CHECKPOINT_UNSUPPORTED", "convert the checkpoint as the message says"},
    {"CHECKPOINT_TRUNCATED", "copy the checkpoint again"},
    {"CHECKPOINT_MISMATCH", "leave out the checkpoint that does not fit"},
    {"CHECKPOINT_NOT_FINITE", "leave it out: its weights hold NaN or infinity"},
    {"CHECKPOINT_CHANGED", "submit the job again once the file is at rest"},
    {"ARCHITECTURE_NOT_ALLOWED",
     "ask the operator to allow its folder or URI (stockpotd --allowed_architecture_prefix)"},
    {"ARCHITECTURE_INVALID", "save the architecture with torch.jit.save"},
    {"PATH_NOT_ALLOWED", "ask the operator to allow the folder or the URI"},
    {"SOURCE_UNAVAILABLE", "once the URI's server answers: stockpot retry JOB"},
    {"SOURCE_FORBIDDEN", "mend the URI, or ask the operator for a token for its server"},
    {"SOURCE_ADDRESS_NOT_ALLOWED",
     "ask the operator to allow the host's address (stockpotd --allowed_private_host)"},
    {"SOURCE_UNTRUSTED", "ask the operator to trust the server's certificate"},
    {"SOURCE_UNSUPPORTED", "take another server: the message says what this one does"},
    {"SOURCE_DAMAGED", "upload the file again, or try later: stockpot retry JOB"},
    {"SOURCE_TOO_LARGE", "ask the operator for more room (stockpotd --max_download_bytes)"},
    {"DATA_SET_NOT_FOUND", "mend the data set's path"},
    {"DATA_SET_EMPTY", "give a data set with examples"},
    {"DATA_SET_INVALID", "mend the data set as the message says"},
    {"IMAGE_UNREADABLE", "mend or remove the image"},
    {"LABEL_OUT_OF_RANGE", "mend the labels, or take another architecture"},
    {"MODEL_INPUT_MISMATCH", "mend the model's inputs or the image transform"},
    {"MODEL_OUTPUT_MISMATCH", "take an architecture that gives logits [N, classes]"},
    {"PRECISION_UNSUPPORTED", "take another --precision"},
    {"CHANNELS_LAST_UNSUPPORTED", "leave --channels-last out"},
    {"NON_FINITE_OUTPUT", "leave out the ingredient: the model gives NaN with it"},
    {"MODEL_FAILED", "mend the model's code: the message is its own"},
    {"WORKER_CRASHED", "mend the cause, then: stockpot retry JOB"},
    {"JOB_NOT_FOUND", "see the jobs there are: stockpot list"},
    {"JOB_EXISTS", "take another --job-id or --request-id"},
    {"JOB_NOT_ENDED", "cancel the job first, or wait: stockpot watch JOB"},
    {"ARTIFACT_NOT_FOUND", "see what there is: stockpot get JOB"},
    {"ARTIFACT_CHANGED", "start the download again"},
    {"TOO_MANY_JOBS", "try again later"},
    {"TOO_MANY_INGREDIENTS", "try again later: unfinished jobs hold too many"},
    {"TOO_MANY_BYTES", "delete jobs whose files nobody needs: stockpot delete JOB"},
    {"TOO_MANY_INSPECTIONS", "try again later"},
    {"RECIPE_CHANGED", "submit the job again: what was measured is kept"},
    {"JOB_TIMEOUT", "go on from what was measured: stockpot retry JOB"},
    {"TASK_TIMEOUT", "mend the cause, then: stockpot retry JOB"},
    {"OUTPUT_NOT_ALLOWED",
     "ask the operator to allow the folder (stockpotd --allowed_output_root, or of an object store "
     "--allowed_output_uri_prefix), or to let the server write there"},
    {"OUTPUT_EXISTS", "give an --output-uri of its own"},
    {"MANIFEST_INVALID", "give a manifest.json that a job wrote"},
    {"DISK_FULL", "ask the operator for room, then: stockpot retry JOB"},
    {"OUT_OF_MEMORY", "take a smaller --batch-size"},
    {"DEVICE_LOST", "ask the operator to look at the device, then: stockpot retry JOB"},
    {"SERVER_STOPPING", "try again later"},
};

}  // namespace

absl::string_view WhatToDo(absl::string_view reason) {
  for (const Hint& hint : kHints) {
    if (hint.reason == reason) return hint.what_to_do;
  }
  return "";
}

}  // namespace stockpot::cli
