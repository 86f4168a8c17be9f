// What the service itself costs: everything but reading, running and averaging models. By hand,
// from the repository's folder:
//
//   build/release/bin/server_overhead [--rounds N] [--ballast_mib N]      prints one line of JSON
//
//   empty_job_ms        CreateJob of one tiny ingredient to the final event at a watcher
//   get_job_ms          GetJob, one after the other, of a server that is idle
//   event_latency_ms    from an event's own time to its arrival at a watcher
//   measure_ms          from one tiny measure's end to the next one's: handing out, loading the
//                       weights, six examples, the result's way back, the ledger's transaction
//   between_tasks_ms    of the same job: the time from its creation to its end in which its one
//                       worker had no task, over the number of its tasks (those that events tell
//                       of), so the mean of what lies between two tasks on the worker, or more
//   download_mib_per_s  an artifact over loopback, its checksums verified by nobody
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "absl/time/clock.h"
#include "tests/bench/server/big_model.h"
#include "tests/support/crowd/crowd.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Flags {
  int rounds = 50, calls = 2000, ingredients = 64;
  int64_t ballast_mib = 512;
};

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double ToMilliseconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) * 1e3 + time.nanos() * 1e-6;
}

Json Quantiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto rounded = [&](double at) { return std::round(Quantile(values, at) * 1000) / 1000; };
  return {{"p50", rounded(0.5)}, {"p99", rounded(0.99)}, {"count", values.size()}};
}

// Leaves through main(), so that the server is stopped.
[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

// Every job measures anew, so that none lives on what one before it found.
v1::Job Submit(ServerProcess& server, v1::JobSpec spec) {
  spec.mutable_compute()->set_measure_again(true);
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = std::move(spec);
  grpc::ClientContext context;
  v1::Job job;
  const grpc::Status status = server.stub().CreateJob(&context, request, &job);
  if (!status.ok()) Fail(status.error_message());
  return job;
}

// To its end; the time and the arrival of each event of the sequence, in milliseconds.
struct Arrival {
  v1::JobEvent event;
  double latency;
};
std::vector<Arrival> Watch(ServerProcess& server, const std::string& name) {
  v1::WatchJobRequest request;
  request.set_name(name);
  grpc::ClientContext context;
  auto reader = server.stub().WatchJob(&context, request);
  std::vector<Arrival> arrivals;
  v1::JobEvent event;
  while (reader->Read(&event)) {
    const double now = absl::ToDoubleMilliseconds(absl::Now() - absl::UnixEpoch());
    if (event.sequence() > 0) arrivals.push_back({event, now - ToMilliseconds(event.time())});
  }
  if (!reader->Finish().ok() || arrivals.empty()) Fail("the watch ended early");
  return arrivals;
}

Json EmptyJobs(ServerProcess& server, int rounds, Json* latency) {
  const TinySweep sweep(1, 1);
  std::vector<double> turnarounds, latencies;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = Clock::now();
    const v1::Job job = Submit(server, sweep.Spec());
    for (const Arrival& arrival : Watch(server, job.name())) latencies.push_back(arrival.latency);
    turnarounds.push_back(MillisecondsSince(begin));
  }
  *latency = Quantiles(latencies);
  return Quantiles(turnarounds);
}

v1::Job GetJob(ServerProcess& server, const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  grpc::ClientContext context;
  v1::Job job;
  if (!server.stub().GetJob(&context, request, &job).ok()) Fail("GetJob");
  return job;
}

Json GetJobs(ServerProcess& server, const std::string& name, int calls) {
  std::vector<double> times;
  for (int call = 0; call < calls; ++call) {
    const auto begin = Clock::now();
    GetJob(server, name);
    times.push_back(MillisecondsSince(begin));
  }
  return Quantiles(times);
}

// Every such event is one task's; tasks that no event tells of are not counted.
bool TellsOfTask(const v1::JobEvent& event) {
  return event.has_ingredient_inspected() || event.has_data_set_inspected() ||
         event.has_blend_measured() || event.has_soup_written() ||
         // A candidate that was dropped early: no event tells of its measure.
         event.candidate_decided().step().has_not_better_than();
}

Json BetweenTasks(const v1::Job& job, const std::vector<Arrival>& arrivals) {
  const auto tasks = std::count_if(arrivals.begin(), arrivals.end(), [](const Arrival& arrival) {
    return TellsOfTask(arrival.event);
  });
  const v1::ReportCost& cost = job.report().cost();
  const auto of_a_task = [&](double seconds) {
    return std::round(seconds / static_cast<double>(tasks) * 1e6) / 1e3;
  };
  return {{"mean", of_a_task(cost.wall_seconds() - cost.worker_seconds())},
          {"mean_of_tasks", of_a_task(cost.worker_seconds())},
          {"count", tasks}};
}

Json Measures(ServerProcess& server, int ingredients, Json* between_tasks) {
  const TinySweep sweep(1, ingredients);
  const std::string name = Submit(server, sweep.Spec()).name();
  const std::vector<Arrival> arrivals = Watch(server, name);
  *between_tasks = BetweenTasks(GetJob(server, name), arrivals);
  std::vector<double> gaps;
  double before = 0;
  for (const Arrival& arrival : arrivals) {
    if (!arrival.event.has_blend_measured()) continue;
    const double now = ToMilliseconds(arrival.event.time());
    if (before > 0) gaps.push_back(now - before);
    before = now;
  }
  return Quantiles(gaps);
}

void AddBallast(const TinySweep& sweep, int64_t elements) {
  std::vector<MadeTensor> tensors = {{{"ballast", DType::kFloat32, {elements}},
                                      std::string(static_cast<size_t>(elements) * 4, 0)}};
  for (MadeTensor& tensor : TinySweep::Checkpoint(std::vector<float>(12, 0.5F), {3, 4})) {
    tensors.push_back(std::move(tensor));
  }
  std::filesystem::remove(sweep / "good_0.safetensors");
  WriteSafetensors(sweep / "good_0.safetensors", tensors);
}

// MiB per second of each round.
std::vector<double> Download(ServerProcess& server, int64_t ballast_mib, int rounds) {
  const TinySweep sweep(1, 1);
  const int64_t elements = ballast_mib << 18;
  SaveBigModel(sweep / "models/big.pt", elements);
  AddBallast(sweep, elements);
  const v1::Job job = Submit(server, sweep.Spec("big.pt"));
  if (Watch(server, job.name()).back().event.state_changed().state() != v1::Job::SUCCEEDED) {
    Fail("the large job failed");
  }
  v1::DownloadArtifactRequest request;
  request.set_name(job.name());
  request.set_file("soup.safetensors");
  std::vector<double> speeds;
  for (int round = 0; round < rounds; ++round) {
    grpc::ClientContext context;
    const auto begin = Clock::now();
    auto reader = server.stub().DownloadArtifact(&context, request);
    v1::ArtifactChunk chunk;
    size_t bytes = 0;
    while (reader->Read(&chunk)) bytes += chunk.data().size();
    if (!reader->Finish().ok()) Fail("the download");
    speeds.push_back(static_cast<double>(bytes) / (1 << 20) / MillisecondsSince(begin) * 1000);
  }
  for (double& speed : speeds) speed = std::round(speed);
  return speeds;
}

int Run(const Flags& flags) {
  ServerProcess::Options options;
  options.threads_per_worker = 1;
  ServerProcess server(options);
  const TinySweep sweep;
  const v1::Job job = server.Run(sweep.Spec());  // the worker has loaded LibTorch
  if (job.state() != v1::Job::SUCCEEDED) Fail(job.error().message());
  Json latency;
  const Json turnaround = EmptyJobs(server, flags.rounds, &latency);
  Json figures = {{"empty_job_ms", turnaround}, {"event_latency_ms", latency}};
  figures["get_job_ms"] = GetJobs(server, job.name(), flags.calls);
  Json between_tasks;
  figures["measure_ms"] = Measures(server, flags.ingredients, &between_tasks);
  figures["between_tasks_ms"] = between_tasks;
  figures["download_mib_per_s"] = Download(server, flags.ballast_mib, 5);
  figures["cores"] = sysconf(_SC_NPROCESSORS_ONLN);
  std::cout << figures.dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  stockpot::Flags flags;
  CLI::App app("What the service itself costs");
  app.add_option("--rounds", flags.rounds, "Empty jobs");
  app.add_option("--calls", flags.calls, "Of GetJob");
  app.add_option("--ingredients", flags.ingredients, "Tiny measures, one after the other");
  app.add_option("--ballast_mib", flags.ballast_mib, "Of the artifact that is downloaded");
  CLI11_PARSE(app, argc, argv);
  try {
    return stockpot::Run(flags);
  } catch (const std::exception& error) {
    std::cerr << "server_overhead: " << error.what() << "\n";
    return 1;
  }
}
