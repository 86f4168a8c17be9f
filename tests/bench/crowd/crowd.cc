// 200 watchers, 1,000 queued tiny jobs, one worker: what it costs the server. By hand, from the
// repository's folder:
//
//   build/release/bin/crowd [JOBS [WATCHERS]]      prints one line of JSON
#include "tests/support/crowd/crowd.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/support/tiny_sweep/tiny_sweep.h"

int main(int argc, char** argv) {
  stockpot::CrowdOptions options;
  options.jobs = 1000;
  options.watchers = 200;
  CLI::App app("A crowd of tiny jobs and their watchers: what it costs the server.", "crowd");
  app.add_option("jobs", options.jobs, "Jobs")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("watchers", options.watchers, "Watchers")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const stockpot::TinySweep sweep;
  stockpot::ServerProcess::Options server_options;
  server_options.threads_per_worker = 1;
  stockpot::ServerProcess server(server_options);
  const stockpot::CrowdFigures figures = stockpot::RunCrowd(server, sweep.Spec(), options);
  std::printf(
      "{\"jobs\": %d, \"watchers\": %d, \"succeeded\": %d, \"lost\": %d, \"gaps\": %d, "
      "\"most_unfinished\": %d, "
      "\"seconds\": %.1f, \"jobs_per_second\": %.1f, \"memory_mib_before\": %.1f, "
      "\"memory_mib_peak\": %.1f, \"get_job_calls\": %zu, \"get_job_ms_p50\": %.2f, "
      "\"get_job_ms_p99\": %.2f, \"get_job_ms_max\": %.2f}\n",
      options.jobs, options.watchers, figures.succeeded, figures.lost, figures.gaps,
      figures.most_unfinished, figures.seconds, options.jobs / figures.seconds,
      static_cast<double>(figures.memory_kib_before) / 1024,
      static_cast<double>(figures.memory_kib_peak) / 1024, figures.get_job_milliseconds.size(),
      stockpot::Quantile(figures.get_job_milliseconds, 0.5),
      stockpot::Quantile(figures.get_job_milliseconds, 0.99),
      stockpot::Quantile(figures.get_job_milliseconds, 1));
  return figures.lost == 0 && figures.gaps == 0 ? 0 : 1;
}
