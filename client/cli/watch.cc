#include "client/cli/watch.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/reconnection.h"

namespace stockpot::cli {
namespace {

// A stream is renewed after this long, so that a connection that died without a word is noticed.
constexpr absl::Duration kStreamLife = absl::Minutes(5);

class Follower {
 public:
  Follower(Connection& connection, Environment& environment, const std::string& name,
           const WatchOptions& options, WatchView& view)
      : connection_(connection),
        environment_(environment),
        name_(name),
        view_(view),
        reconnection_(environment, options.reconnect_timeout),
        last_sequence_(options.after_sequence) {}

  absl::StatusOr<v1::Job> Run() {
    while (true) {
      absl::Status status = ReadStream();
      if (absl::IsDeadlineExceeded(status) && absl::Now() >= stream_ends_) continue;
      // OUT_OF_RANGE: nothing comes after the last sequence of an ended job.
      if (status.ok() || absl::IsOutOfRange(status)) {
        absl::StatusOr<v1::Job> job = connection_.GetJob(name_);
        if (job.ok() && HasEnded(*job)) return job;
        if (absl::IsOutOfRange(status)) return status;
        status = job.ok() ? absl::UnavailableError("the server ended the stream") : job.status();
      }
      view_.Pause();
      if (environment_.interruption.triggered()) return absl::CancelledError("interrupted");
      if (!reconnection_.ShouldRetry(status)) {
        if (environment_.interruption.triggered()) return absl::CancelledError("interrupted");
        return connection_.WithAddress(status);
      }
    }
  }

 private:
  absl::Status ReadStream() {
    v1::WatchJobRequest request;
    request.set_name(name_);
    request.set_after_sequence(last_sequence_);
    grpc::ClientContext context;
    connection_.Introduce(context);
    const Interruption::CallScope scope(environment_.interruption, context);
    stream_ends_ = absl::Now() + kStreamLife;
    context.set_deadline(absl::ToChronoTime(stream_ends_));
    const auto reader = connection_.stub().WatchJob(&context, request);
    absl::Status lost;
    v1::JobEvent event;
    while (lost.ok() && reader->Read(&event)) {
      reconnection_.Succeeded();
      lost = Accept(event);
    }
    if (!lost.ok()) context.TryCancel();
    const absl::Status ended = FromGrpc(reader->Finish());
    return lost.ok() ? ended : lost;
  }

  absl::Status Accept(const v1::JobEvent& event) {
    if (event.sequence() != 0) {
      if (event.sequence() != last_sequence_ + 1) {
        return absl::DataLossError(absl::StrCat("the server sent event ", event.sequence(),
                                                " after event ", last_sequence_));
      }
      last_sequence_ = event.sequence();
    }
    view_.OnEvent(event);
    return absl::OkStatus();
  }

  Connection& connection_;
  Environment& environment_;
  const std::string name_;
  WatchView& view_;
  Reconnection reconnection_;
  int64_t last_sequence_;
  absl::Time stream_ends_;
};

}  // namespace

absl::StatusOr<v1::Job> Watch(Connection& connection, Environment& environment,
                              const std::string& name, const WatchOptions& options,
                              WatchView& view) {
  return Follower(connection, environment, name, options, view).Run();
}

bool HasEnded(const v1::Job& job) {
  return job.state() == v1::Job::SUCCEEDED || job.state() == v1::Job::FAILED ||
         job.state() == v1::Job::CANCELLED;
}

}  // namespace stockpot::cli
