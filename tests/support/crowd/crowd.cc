#include "tests/support/crowd/crowd.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

namespace stockpot {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// "VmRSS" or "VmHWM" of a process.
int64_t MemoryKib(pid_t process_id, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(process_id) + "/status");
  std::string name;
  while (status >> name) {
    int64_t value = 0;
    if (name == field + ":" && status >> value) return value;
    std::getline(status, name);
  }
  return 0;
}

std::string NameOf(int job) { return "crowd-" + std::to_string(job); }

class Crowd {
 public:
  Crowd(ServerProcess& server, const v1::JobSpec& spec, const CrowdOptions& options)
      : server_(server), spec_(spec), options_(options) {}

  CrowdFigures Run() {
    CrowdFigures figures;
    figures.memory_kib_before = MemoryKib(server_.process_id(), "VmRSS");
    const Clock::time_point begin = Clock::now();
    std::vector<std::thread> watchers;
    std::vector<std::thread> makers;
    for (int i = 0; i < options_.makers; ++i) makers.emplace_back([this, i] { MakeJobs(i); });
    for (int i = 0; i < options_.watchers; ++i) watchers.emplace_back([this, i] { WatchFrom(i); });
    std::thread asker([this, &figures] { Ask(&figures.get_job_milliseconds); });
    for (std::thread& maker : makers) maker.join();
    for (std::thread& watcher : watchers) watcher.join();
    figures.seconds = MillisecondsSince(begin) / 1000;
    over_ = true;
    asker.join();
    std::sort(figures.get_job_milliseconds.begin(), figures.get_job_milliseconds.end());
    figures.memory_kib_peak = MemoryKib(server_.process_id(), "VmHWM");
    figures.most_unfinished = most_unfinished_;
    figures.succeeded = succeeded_;
    figures.lost = options_.jobs - succeeded_;
    figures.gaps = gaps_;
    return figures;
  }

 private:
  void MakeJobs(int first) {
    for (int i = first; i < options_.jobs; i += options_.makers) {
      v1::CreateJobRequest request;
      request.set_job_id(NameOf(i));
      request.set_request_id(NameOf(i));
      *request.mutable_job()->mutable_spec() = spec_;
      v1::Job job;
      for (bool made = false; !made;) {
        grpc::ClientContext context;
        const grpc::Status status = server_.stub().CreateJob(&context, request, &job);
        // The server is full: it says when to come again.
        made = status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED;
        if (!made) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      std::lock_guard<std::mutex> hold(mutex_);
      made_.insert(i);
      most_unfinished_ = std::max(most_unfinished_, static_cast<int>(made_.size()) - ended_);
      changed_.notify_all();
    }
  }

  void WaitUntilMade(int job) {
    std::unique_lock<std::mutex> hold(mutex_);
    changed_.wait(hold, [&] { return made_.count(job) > 0; });
  }

  // A channel of its own, as a client has.
  std::unique_ptr<v1::SoupService::Stub> Connect(int number) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("stockpot.crowd", number);
    return v1::SoupService::NewStub(grpc::CreateCustomChannel(
        server_.address(), grpc::InsecureChannelCredentials(), arguments));
  }

  void WatchFrom(int first) {
    const auto stub = Connect(first);
    for (int job = first; job < options_.jobs; job += options_.watchers) {
      WaitUntilMade(job);
      grpc::ClientContext context;
      v1::WatchJobRequest request;
      request.set_name("jobs/" + NameOf(job));
      auto reader = stub->WatchJob(&context, request);
      v1::JobEvent event;
      int64_t last = 0;
      v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
      while (reader->Read(&event)) {
        if (event.sequence() == 0) continue;
        if (event.sequence() != ++last) ++gaps_;
        if (event.has_state_changed()) state = event.state_changed().state();
      }
      if (reader->Finish().ok() && state == v1::Job::SUCCEEDED) ++succeeded_;
      std::lock_guard<std::mutex> hold(mutex_);
      ++ended_;
    }
  }

  void Ask(std::vector<double>* milliseconds) {
    const auto stub = Connect(-1);
    WaitUntilMade(0);
    for (size_t i = 0; !over_; ++i) {
      grpc::ClientContext context;
      v1::GetJobRequest request;
      request.set_name("jobs/" + NameOf(AnyMade(i * 7919u)));
      v1::Job job;
      const Clock::time_point begin = Clock::now();
      if (stub->GetJob(&context, request, &job).ok()) {
        milliseconds->push_back(MillisecondsSince(begin));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  int AnyMade(size_t number) {
    std::lock_guard<std::mutex> hold(mutex_);
    return *std::next(made_.begin(), static_cast<std::ptrdiff_t>(number % made_.size()));
  }

  ServerProcess& server_;
  const v1::JobSpec& spec_;
  const CrowdOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<int> made_;                   // guarded by mutex_
  int ended_ = 0, most_unfinished_ = 0;  // guarded by mutex_
  std::atomic<int> succeeded_{0}, gaps_{0};
  std::atomic<bool> over_{false};
};

}  // namespace

CrowdFigures RunCrowd(ServerProcess& server, const v1::JobSpec& spec, const CrowdOptions& options) {
  return Crowd(server, spec, options).Run();
}

double Quantile(const std::vector<double>& sorted, double fraction) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(fraction * static_cast<double>(sorted.size() - 1))];
}

}  // namespace stockpot
